package openapi

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/internal/secrets"
)

// rulesVersion is raised when a rule's code changes what it finds; with the
// catalogue it makes the rules' digest.
const rulesVersion = "1"

// Rules returns the catalogue: 001 to 022 are of OpenAPI, 030 to 037 of data services,
// 040 and 041 of collections.
func Rules() []report.Rule {
	return []report.Rule{
		rules.schema,
		rules.reference,
		rules.pathParams,
		rules.operationID,
		rules.duplicateOperation,
		rules.pathDeclaration,
		rules.securityDefined,
		rules.duplicateEnum,
		rules.typedEnum,
		rules.siblings,
		rules.trailingSlash,
		rules.pathQuery,
		rules.success,
		rules.unauthenticated,
		rules.paging,
		rules.http,
		rules.script,
		rules.description,
		rules.tags,
		rules.infoDescription,
		rules.servers,
		rules.unused,
		rules.serviceField,
		rules.duplicateService,
		rules.serviceBinding,
		rules.serviceParameter,
		rules.serviceAuth,
		rules.serviceQPS,
		rules.servicePage,
		rules.serviceDescription,
		rules.collectionSecret,
		rules.absoluteHost,
	}
}

func rulesDigest() string {
	h := sha256.New()
	fmt.Fprintf(h, "%s %s\n", rulesVersion, secrets.Version)
	for _, r := range Rules() {
		fmt.Fprintf(h, "%s %s %q\n", r.ID, r.Severity, r.Message)
	}
	return hex.EncodeToString(h.Sum(nil))
}

var rules = struct {
	schema,
	reference,
	pathParams,
	operationID,
	duplicateOperation,
	pathDeclaration,
	securityDefined,
	duplicateEnum,
	typedEnum,
	siblings,
	trailingSlash,
	pathQuery,
	success,
	unauthenticated,
	paging,
	http,
	script,
	description,
	tags,
	infoDescription,
	servers,
	unused,
	serviceField,
	duplicateService,
	serviceBinding,
	serviceParameter,
	serviceAuth,
	serviceQPS,
	servicePage,
	serviceDescription,
	collectionSecret,
	absoluteHost report.Rule
}{
	schema: report.Rule{
		ID: "API001", Severity: report.Error, Syntax: "yaml",
		Message:   report.Text{En: "The file is no valid description; mend what the message names.", Zh: "文件不是有效的接口定义，请按提示更正。"},
		Rationale: report.Text{En: "Tools that read it refuse it or guess. (spectral: oas2-schema, oas3-schema, parser)", Zh: "读取它的工具会拒绝或各自猜测。（对应 spectral：oas2-schema、oas3-schema、parser）"},
		Bad: `openapi: 3.0.3
info: {title: Shop}
paths: []
`,
		Good: `openapi: 3.0.3
info: {title: Shop, version: '1', description: Orders of the shop}
servers: [{url: 'https://api.example.com'}]
paths:
  /orders: {}
`,
	},
	reference: report.Rule{
		ID: "API002", Severity: report.Error, Syntax: "yaml",
		Message:   report.Text{En: "A reference leads to nothing; mend it, or define its target.", Zh: "引用指向不存在的定义，请更正或补充定义。"},
		Rationale: report.Text{En: "What refers to nothing cannot be generated, mocked or tested. References to other files are not followed. (spectral: invalid-ref)", Zh: "无效引用会使代码生成、模拟和测试失败。指向其他文件的引用不会被读取。（对应 spectral：invalid-ref）"},
		Bad: `openapi: 3.0.3
info: {title: Shop, version: '1', description: Orders of the shop}
servers: [{url: 'https://api.example.com'}]
paths:
  /orders:
    get:
      tags: [orders]
      description: One order
      responses: {'200': {$ref: '#/components/responses/Order'}}
`,
		Good: `openapi: 3.0.3
info: {title: Shop, version: '1', description: Orders of the shop}
servers: [{url: 'https://api.example.com'}]
components: {responses: {Order: {description: fine}}}
paths:
  /orders:
    get:
      tags: [orders]
      description: One order
      responses: {'200': {$ref: '#/components/responses/Order'}}
`,
	},
	pathParams: report.Rule{
		ID: "API003", Severity: report.Error, Syntax: "yaml",
		Message:   report.Text{En: "Placeholders of a path and its path parameters do not fit each other; declare each once, required: true.", Zh: "路径占位符与 path 参数不一致，请逐一声明并设置 required: true。"},
		Rationale: report.Text{En: "A placeholder without a parameter cannot be filled. (spectral: path-params, operation-parameters)", Zh: "没有参数的占位符无法赋值。（对应 spectral：path-params、operation-parameters）"},
		Bad: `openapi: 3.0.3
info: {title: Shop, version: '1', description: Orders of the shop}
servers: [{url: 'https://api.example.com'}]
security: [{key: []}]
components:
  securitySchemes: {key: {type: apiKey, name: X-Key, in: header}}
paths:
  /orders/{id}:
    get:
      tags: [orders]
      description: One order
      responses: {'200': {description: fine}}
`,
		Good: `openapi: 3.0.3
info: {title: Shop, version: '1', description: Orders of the shop}
servers: [{url: 'https://api.example.com'}]
security: [{key: []}]
components:
  securitySchemes: {key: {type: apiKey, name: X-Key, in: header}}
paths:
  /orders/{id}:
    get:
      tags: [orders]
      description: One order
      parameters: [{name: id, in: path, required: true, schema: {type: string}}]
      responses: {'200': {description: fine}}
`,
	},
	operationID: report.Rule{
		ID: "API004", Severity: report.Error, Syntax: "yaml",
		Message:   report.Text{En: "Two operations have one operationId; give each its own.", Zh: "operationId 重复，请为每个接口指定唯一的值。"},
		Rationale: report.Text{En: "Generators name functions by it; one overwrites the other. (spectral: operation-operationId-unique)", Zh: "代码生成器以它命名函数，重复会相互覆盖。（对应 spectral：operation-operationId-unique）"},
		Bad: `openapi: 3.0.3
info: {title: Shop, version: '1', description: Orders of the shop}
servers: [{url: 'https://api.example.com'}]
security: [{key: []}]
components:
  securitySchemes: {key: {type: apiKey, name: X-Key, in: header}}
paths:
  /a:
    get:
      operationId: read
      tags: [orders]
      description: One order
      responses: {'200': {description: fine}}
  /b:
    get:
      operationId: read
      tags: [orders]
      description: One order
      responses: {'200': {description: fine}}
`,
		Good: `openapi: 3.0.3
info: {title: Shop, version: '1', description: Orders of the shop}
servers: [{url: 'https://api.example.com'}]
security: [{key: []}]
components:
  securitySchemes: {key: {type: apiKey, name: X-Key, in: header}}
paths:
  /a:
    get:
      operationId: readA
      tags: [orders]
      description: One order
      responses: {'200': {description: fine}}
  /b:
    get:
      operationId: readB
      tags: [orders]
      description: One order
      responses: {'200': {description: fine}}
`,
	},
	duplicateOperation: report.Rule{
		ID: "API005", Severity: report.Error, Syntax: "yaml",
		Message:   report.Text{En: "Two operations take the same requests (method and path); keep one.", Zh: "两个接口匹配相同的请求（方法与路径），请只保留一个。"},
		Rationale: report.Text{En: "Which of them answers is left to chance. Paths are alike when only names of placeholders differ. (Own rule; spectral: path-keys)", Zh: "由哪个接口响应无法预期。仅占位符名称不同的路径视为相同。（自有规则，参照 spectral：path-keys）"},
		Bad: `openapi: 3.0.3
info: {title: Shop, version: '1', description: Orders of the shop}
servers: [{url: 'https://api.example.com'}]
security: [{key: []}]
components:
  securitySchemes: {key: {type: apiKey, name: X-Key, in: header}}
paths:
  /orders/{id}:
    get:
      tags: [orders]
      description: One order
      parameters: [{name: id, in: path, required: true, schema: {type: string}}]
      responses: {'200': {description: fine}}
  /orders/{no}:
    get:
      tags: [orders]
      description: One order
      parameters: [{name: no, in: path, required: true, schema: {type: string}}]
      responses: {'200': {description: fine}}
`,
		Good: `openapi: 3.0.3
info: {title: Shop, version: '1', description: Orders of the shop}
servers: [{url: 'https://api.example.com'}]
security: [{key: []}]
components:
  securitySchemes: {key: {type: apiKey, name: X-Key, in: header}}
paths:
  /orders/{id}:
    get:
      tags: [orders]
      description: One order
      parameters: [{name: id, in: path, required: true, schema: {type: string}}]
      responses: {'200': {description: fine}}
  /orders/{id}/lines:
    get:
      tags: [orders]
      description: One order
      parameters: [{name: id, in: path, required: true, schema: {type: string}}]
      responses: {'200': {description: fine}}
`,
	},
	pathDeclaration: report.Rule{
		ID: "API006", Severity: report.Error, Syntax: "yaml",
		Message:   report.Text{En: "A path has an empty or unclosed {}; write {name}.", Zh: "路径中的 {} 为空或未闭合，请写为 {参数名}。"},
		Rationale: report.Text{En: "Such a path matches nothing. (spectral: path-declarations-must-exist)", Zh: "这样的路径无法匹配任何请求。（对应 spectral：path-declarations-must-exist）"},
		Bad: `openapi: 3.0.3
info: {title: Shop, version: '1', description: Orders of the shop}
servers: [{url: 'https://api.example.com'}]
security: [{key: []}]
components:
  securitySchemes: {key: {type: apiKey, name: X-Key, in: header}}
paths:
  /orders/{}:
    get:
      tags: [orders]
      description: One order
      responses: {'200': {description: fine}}
`,
		Good: `openapi: 3.0.3
info: {title: Shop, version: '1', description: Orders of the shop}
servers: [{url: 'https://api.example.com'}]
security: [{key: []}]
components:
  securitySchemes: {key: {type: apiKey, name: X-Key, in: header}}
paths:
  /orders/{id}:
    get:
      tags: [orders]
      description: One order
      parameters: [{name: id, in: path, required: true, schema: {type: string}}]
      responses: {'200': {description: fine}}
`,
	},
	securityDefined: report.Rule{
		ID: "API007", Severity: report.Error, Syntax: "yaml",
		Message:   report.Text{En: "A security scheme is not defined; define it, or mend its name.", Zh: "引用的安全方案未定义，请补充定义或更正名称。"},
		Rationale: report.Text{En: "Gateways and generators ignore it, so the operation may stand open. (spectral: oas3-operation-security-defined, oas2-operation-security-defined)", Zh: "网关与代码生成器会忽略它，接口可能因此完全开放。（对应 spectral：oas3-operation-security-defined、oas2-operation-security-defined）"},
		Bad: `openapi: 3.0.3
info: {title: Shop, version: '1', description: Orders of the shop}
servers: [{url: 'https://api.example.com'}]
security: [{key: []}]
components:
  securitySchemes: {key: {type: apiKey, name: X-Key, in: header}}
paths:
  /orders:
    get:
      tags: [orders]
      description: One order
      security: [{token: []}]
      responses: {'200': {description: fine}}
`,
		Good: `openapi: 3.0.3
info: {title: Shop, version: '1', description: Orders of the shop}
servers: [{url: 'https://api.example.com'}]
security: [{key: []}]
components:
  securitySchemes: {key: {type: apiKey, name: X-Key, in: header}}
paths:
  /orders:
    get:
      tags: [orders]
      description: One order
      security: [{key: []}]
      responses: {'200': {description: fine}}
`,
	},
	duplicateEnum: report.Rule{
		ID: "API008", Severity: report.Warning, Syntax: "yaml",
		Message:   report.Text{En: "A value stands in an enum twice; keep one.", Zh: "枚举值重复，请只保留一个。"},
		Rationale: report.Text{En: "Mostly another value was meant. (spectral: duplicated-entry-in-enum)", Zh: "多半是写错了另一个值。（对应 spectral：duplicated-entry-in-enum）"},
		Bad: `openapi: 3.0.3
info: {title: Shop, version: '1', description: Orders of the shop}
servers: [{url: 'https://api.example.com'}]
security: [{key: []}]
components:
  securitySchemes: {key: {type: apiKey, name: X-Key, in: header}}
paths:
  /orders:
    get:
      tags: [orders]
      description: One order
      responses: {'200': {description: fine, content: {application/json: {schema: {type: string, enum: [new, paid, new]}}}}}
`,
		Good: `openapi: 3.0.3
info: {title: Shop, version: '1', description: Orders of the shop}
servers: [{url: 'https://api.example.com'}]
security: [{key: []}]
components:
  securitySchemes: {key: {type: apiKey, name: X-Key, in: header}}
paths:
  /orders:
    get:
      tags: [orders]
      description: One order
      responses: {'200': {description: fine, content: {application/json: {schema: {type: string, enum: [new, paid, sent]}}}}}
`,
	},
	typedEnum: report.Rule{
		ID: "API009", Severity: report.Warning, Syntax: "yaml",
		Message:   report.Text{En: "A value of an enum is not of the declared type; mend one of them.", Zh: "枚举值与声明的类型不符，请改正其一。"},
		Rationale: report.Text{En: "Such a value can never be valid. (spectral: typed-enum)", Zh: "这样的值永远无法通过校验。（对应 spectral：typed-enum）"},
		Bad: `openapi: 3.0.3
info: {title: Shop, version: '1', description: Orders of the shop}
servers: [{url: 'https://api.example.com'}]
security: [{key: []}]
components:
  securitySchemes: {key: {type: apiKey, name: X-Key, in: header}}
paths:
  /orders:
    get:
      tags: [orders]
      description: One order
      responses: {'200': {description: fine, content: {application/json: {schema: {type: string, enum: [new, 1]}}}}}
`,
		Good: `openapi: 3.0.3
info: {title: Shop, version: '1', description: Orders of the shop}
servers: [{url: 'https://api.example.com'}]
security: [{key: []}]
components:
  securitySchemes: {key: {type: apiKey, name: X-Key, in: header}}
paths:
  /orders:
    get:
      tags: [orders]
      description: One order
      responses: {'200': {description: fine, content: {application/json: {schema: {type: string, enum: [new, '1']}}}}}
`,
	},
	siblings: report.Rule{
		ID: "API010", Severity: report.Error, Syntax: "yaml",
		Message:   report.Text{En: "What stands beside $ref is ignored; move it to the target, or wrap the reference in allOf.", Zh: "$ref 旁的字段会被忽略，请移到被引用的定义中，或用 allOf 包裹。"},
		Rationale: report.Text{En: "What is written there does not hold. Since OpenAPI 3.1 it does in schemas, and the rule leaves them alone. (spectral: no-$ref-siblings)", Zh: "写在那里的内容不会生效。OpenAPI 3.1 起在 schema 中有效，本规则不再检查。（对应 spectral：no-$ref-siblings）"},
		Bad: `openapi: 3.0.3
info: {title: Shop, version: '1', description: Orders of the shop}
servers: [{url: 'https://api.example.com'}]
components: {schemas: {O: {type: object}}}
paths:
  /orders:
    get:
      tags: [orders]
      description: One order
      responses: {'200': {description: fine, content: {application/json: {schema: {$ref: '#/components/schemas/O', nullable: true}}}}}
`,
		Good: `openapi: 3.0.3
info: {title: Shop, version: '1', description: Orders of the shop}
servers: [{url: 'https://api.example.com'}]
components: {schemas: {O: {type: object}}}
paths:
  /orders:
    get:
      tags: [orders]
      description: One order
      responses: {'200': {description: fine, content: {application/json: {schema: {allOf: [{$ref: '#/components/schemas/O'}], nullable: true}}}}}
`,
	},
	trailingSlash: report.Rule{
		ID: "API011", Severity: report.Warning, Syntax: "yaml",
		Message:   report.Text{En: "A path ends in a slash; take it off.", Zh: "路径以斜杠结尾，请去掉。"},
		Rationale: report.Text{En: "Some servers and gateways take it for another path. (spectral: path-keys-no-trailing-slash)", Zh: "部分服务器与网关会视为不同的路径。（对应 spectral：path-keys-no-trailing-slash）"},
		Bad: `openapi: 3.0.3
info: {title: Shop, version: '1', description: Orders of the shop}
servers: [{url: 'https://api.example.com'}]
security: [{key: []}]
components:
  securitySchemes: {key: {type: apiKey, name: X-Key, in: header}}
paths:
  /orders/:
    get:
      tags: [orders]
      description: One order
      responses: {'200': {description: fine}}
`,
		Good: `openapi: 3.0.3
info: {title: Shop, version: '1', description: Orders of the shop}
servers: [{url: 'https://api.example.com'}]
security: [{key: []}]
components:
  securitySchemes: {key: {type: apiKey, name: X-Key, in: header}}
paths:
  /orders:
    get:
      tags: [orders]
      description: One order
      responses: {'200': {description: fine}}
`,
	},
	pathQuery: report.Rule{
		ID: "API012", Severity: report.Warning, Syntax: "yaml",
		Message:   report.Text{En: "A path has a query; declare parameters in query instead.", Zh: "路径含有查询串，请改为声明 query 参数。"},
		Rationale: report.Text{En: "A path is compared without its query, so it never matches. (spectral: path-not-include-query)", Zh: "路径匹配不包含查询串，因此永远不会匹配。（对应 spectral：path-not-include-query）"},
		Bad: `openapi: 3.0.3
info: {title: Shop, version: '1', description: Orders of the shop}
servers: [{url: 'https://api.example.com'}]
security: [{key: []}]
components:
  securitySchemes: {key: {type: apiKey, name: X-Key, in: header}}
paths:
  '/orders?open=1':
    get:
      tags: [orders]
      description: One order
      responses: {'200': {description: fine}}
`,
		Good: `openapi: 3.0.3
info: {title: Shop, version: '1', description: Orders of the shop}
servers: [{url: 'https://api.example.com'}]
security: [{key: []}]
components:
  securitySchemes: {key: {type: apiKey, name: X-Key, in: header}}
paths:
  /orders:
    get:
      tags: [orders]
      description: One order
      responses: {'200': {description: fine}}
`,
	},
	success: report.Rule{
		ID: "API013", Severity: report.Warning, Syntax: "yaml",
		Message:   report.Text{En: "An operation has no response of success; describe what it answers.", Zh: "接口没有成功响应，请描述其返回内容。"},
		Rationale: report.Text{En: "Callers do not know what they get. An operation with a default response only has one. (spectral: operation-success-response)", Zh: "调用方不知道会得到什么。仅有 default 响应视为已描述。（对应 spectral：operation-success-response）"},
		Bad: `openapi: 3.0.3
info: {title: Shop, version: '1', description: Orders of the shop}
servers: [{url: 'https://api.example.com'}]
security: [{key: []}]
components:
  securitySchemes: {key: {type: apiKey, name: X-Key, in: header}}
paths:
  /orders:
    get:
      tags: [orders]
      description: One order
      responses: {'404': {description: gone}}
`,
		Good: `openapi: 3.0.3
info: {title: Shop, version: '1', description: Orders of the shop}
servers: [{url: 'https://api.example.com'}]
security: [{key: []}]
components:
  securitySchemes: {key: {type: apiKey, name: X-Key, in: header}}
paths:
  /orders:
    get:
      tags: [orders]
      description: One order
      responses: {'200': {description: fine}, '404': {description: gone}}
`,
	},
	unauthenticated: report.Rule{
		ID: "API014", Severity: report.Warning, Syntax: "yaml",
		Message:   report.Text{En: "An operation asks for no authentication; name a security scheme, or say that it is public.", Zh: "接口未要求认证，请声明安全方案，或说明其为公开接口。"},
		Rationale: report.Text{En: "Everybody who reaches it may use it. Where the document asks for none at all, that is one finding. (Own rule)", Zh: "任何能访问到的人都可以调用。若整个文档都未要求认证，只报告一次。（自有规则）"},
		Configure: report.Text{En: "publicPaths: paths that need none, whole (/public/*) or by their last part (health, login, …).", Zh: "publicPaths：无需认证的路径，可写完整路径（/public/*）或最后一段（health、login 等）。"},
		Bad: `openapi: 3.0.3
info: {title: Shop, version: '1', description: Orders of the shop}
servers: [{url: 'https://api.example.com'}]
security: [{key: []}]
components:
  securitySchemes: {key: {type: apiKey, name: X-Key, in: header}}
paths:
  /orders:
    get:
      tags: [orders]
      description: One order
      security: []
      responses: {'200': {description: fine}}
`,
		Good: `openapi: 3.0.3
info: {title: Shop, version: '1', description: Orders of the shop}
servers: [{url: 'https://api.example.com'}]
security: [{key: []}]
components:
  securitySchemes: {key: {type: apiKey, name: X-Key, in: header}}
paths:
  /orders:
    get:
      tags: [orders]
      description: One order
      responses: {'200': {description: fine}}
`,
	},
	paging: report.Rule{
		ID: "API015", Severity: report.Warning, Syntax: "yaml",
		Message:   report.Text{En: "An operation gives a list and has no parameter that limits it; add one.", Zh: "接口返回列表，但没有限制条数的参数，请补充。"},
		Rationale: report.Text{En: "It answers with more the longer the system runs, until it no longer does. Lists with maxItems are bounded. (Own rule)", Zh: "数据越积越多，返回越来越慢直至失败。声明了 maxItems 的列表不在此列。（自有规则）"},
		Configure: report.Text{En: "pagingParameters: names, or parts of names, of parameters that limit.", Zh: "pagingParameters：分页参数的名称（或其一部分）。"},
		Bad: `openapi: 3.0.3
info: {title: Shop, version: '1', description: Orders of the shop}
servers: [{url: 'https://api.example.com'}]
security: [{key: []}]
components:
  securitySchemes: {key: {type: apiKey, name: X-Key, in: header}}
paths:
  /orders:
    get:
      tags: [orders]
      description: One order
      responses: {'200': {description: fine, content: {application/json: {schema: {type: array, items: {type: string}}}}}}
`,
		Good: `openapi: 3.0.3
info: {title: Shop, version: '1', description: Orders of the shop}
servers: [{url: 'https://api.example.com'}]
security: [{key: []}]
components:
  securitySchemes: {key: {type: apiKey, name: X-Key, in: header}}
paths:
  /orders:
    get:
      tags: [orders]
      description: One order
      responses: {'200': {description: fine, content: {application/json: {schema: {type: array, maxItems: 100, items: {type: string}}}}}}
`,
	},
	http: report.Rule{
		ID: "API016", Severity: report.Warning, Syntax: "yaml",
		Message:   report.Text{En: "A server is reached over plain http; use https.", Zh: "服务器使用明文 http，请改用 https。"},
		Rationale: report.Text{En: "Everybody on the way can read and change what is sent. (Own rule; vacuum: owasp-security-hosts-https)", Zh: "传输内容可被窃听和篡改。（自有规则，参照 vacuum：owasp-security-hosts-https）"},
		Configure: report.Text{En: "httpHosts: hosts for which http will do; localhost by default.", Zh: "httpHosts：允许使用 http 的主机，默认为 localhost。"},
		Bad: `openapi: 3.0.3
info: {title: Shop, version: '1', description: Orders of the shop}
servers: [{url: 'http://api.example.com'}]
paths:
  /orders: {}
`,
		Good: `openapi: 3.0.3
info: {title: Shop, version: '1', description: Orders of the shop}
servers: [{url: 'https://api.example.com'}]
paths:
  /orders: {}
`,
	},
	script: report.Rule{
		ID: "API017", Severity: report.Warning, Syntax: "yaml",
		Message:   report.Text{En: "A description holds a script tag; remove it.", Zh: "描述中含有 script 标签，请删除。"},
		Rationale: report.Text{En: "Where descriptions are shown as markdown, a browser would run it. (spectral: no-script-tags-in-markdown)", Zh: "以 markdown 展示描述时，浏览器会执行该脚本。（对应 spectral：no-script-tags-in-markdown）"},
		Bad: `openapi: 3.0.3
info: {title: Shop, version: '1', description: 'Orders <script>alert(1)</script>'}
servers: [{url: 'https://api.example.com'}]
paths:
  /orders: {}
`,
		Good: `openapi: 3.0.3
info: {title: Shop, version: '1', description: Orders of the shop}
servers: [{url: 'https://api.example.com'}]
paths:
  /orders: {}
`,
	},
	description: report.Rule{
		ID: "API018", Severity: report.Note, Syntax: "yaml",
		Message:   report.Text{En: "An operation has no description; say what it does.", Zh: "接口缺少描述，请说明其用途。"},
		Rationale: report.Text{En: "Callers have only its name to go by. (spectral: operation-description)", Zh: "调用方只能凭名称猜测。（对应 spectral：operation-description）"},
		Bad: `openapi: 3.0.3
info: {title: Shop, version: '1', description: Orders of the shop}
servers: [{url: 'https://api.example.com'}]
security: [{key: []}]
components:
  securitySchemes: {key: {type: apiKey, name: X-Key, in: header}}
paths:
  /orders:
    get:
      tags: [orders]
      responses: {'200': {description: fine}}
`,
		Good: `openapi: 3.0.3
info: {title: Shop, version: '1', description: Orders of the shop}
servers: [{url: 'https://api.example.com'}]
security: [{key: []}]
components:
  securitySchemes: {key: {type: apiKey, name: X-Key, in: header}}
paths:
  /orders:
    get:
      tags: [orders]
      description: One order
      responses: {'200': {description: fine}}
`,
	},
	tags: report.Rule{
		ID: "API019", Severity: report.Note, Syntax: "yaml",
		Message:   report.Text{En: "An operation has no tags; add one.", Zh: "接口没有标签，请添加。"},
		Rationale: report.Text{En: "Documentation and generated clients are ordered by tags. (spectral: operation-tags)", Zh: "文档与生成的客户端按标签归类。（对应 spectral：operation-tags）"},
		Bad: `openapi: 3.0.3
info: {title: Shop, version: '1', description: Orders of the shop}
servers: [{url: 'https://api.example.com'}]
security: [{key: []}]
components:
  securitySchemes: {key: {type: apiKey, name: X-Key, in: header}}
paths:
  /orders:
    get:
      description: One order
      responses: {'200': {description: fine}}
`,
		Good: `openapi: 3.0.3
info: {title: Shop, version: '1', description: Orders of the shop}
servers: [{url: 'https://api.example.com'}]
security: [{key: []}]
components:
  securitySchemes: {key: {type: apiKey, name: X-Key, in: header}}
paths:
  /orders:
    get:
      tags: [orders]
      description: One order
      responses: {'200': {description: fine}}
`,
	},
	infoDescription: report.Rule{
		ID: "API020", Severity: report.Note, Syntax: "yaml",
		Message:   report.Text{En: "The document does not say what the interface is for; add info.description.", Zh: "文档没有说明接口用途，请填写 info.description。"},
		Rationale: report.Text{En: "It is the first that readers look for. (spectral: info-description)", Zh: "这是读者首先要找的内容。（对应 spectral：info-description）"},
		Bad: `openapi: 3.0.3
info: {title: Shop, version: '1'}
servers: [{url: 'https://api.example.com'}]
paths:
  /orders: {}
`,
		Good: `openapi: 3.0.3
info: {title: Shop, version: '1', description: Orders of the shop}
servers: [{url: 'https://api.example.com'}]
paths:
  /orders: {}
`,
	},
	servers: report.Rule{
		ID: "API021", Severity: report.Note, Syntax: "yaml",
		Message:   report.Text{En: "The document does not say where the interface is reached; add servers.", Zh: "文档没有说明接口的访问地址，请填写 servers。"},
		Rationale: report.Text{En: "Without it the address is that of the document itself. (spectral: oas3-api-servers, oas2-api-host)", Zh: "未填写时，地址即为文档自身所在位置。（对应 spectral：oas3-api-servers、oas2-api-host）"},
		Bad: `openapi: 3.0.3
info: {title: Shop, version: '1', description: Orders of the shop}
security: [{key: []}]
components:
  securitySchemes: {key: {type: apiKey, name: X-Key, in: header}}
paths:
  /orders:
    get:
      tags: [orders]
      description: One order
      responses: {'200': {description: fine}}
`,
		Good: `openapi: 3.0.3
info: {title: Shop, version: '1', description: Orders of the shop}
servers: [{url: 'https://api.example.com'}]
security: [{key: []}]
components:
  securitySchemes: {key: {type: apiKey, name: X-Key, in: header}}
paths:
  /orders:
    get:
      tags: [orders]
      description: One order
      responses: {'200': {description: fine}}
`,
	},
	unused: report.Rule{
		ID: "API022", Severity: report.Note, Syntax: "yaml",
		Message:   report.Text{En: "Nothing refers to a component; remove it, or use it.", Zh: "组件未被引用，请删除或使用。"},
		Rationale: report.Text{En: "It is mostly what was left over, or a reference that was forgotten. (spectral: oas3-unused-component, oas2-unused-definition)", Zh: "多半是遗留内容或漏写的引用。（对应 spectral：oas3-unused-component、oas2-unused-definition）"},
		Bad: `openapi: 3.0.3
info: {title: Shop, version: '1', description: Orders of the shop}
servers: [{url: 'https://api.example.com'}]
security: [{key: []}]
components:
  securitySchemes: {key: {type: apiKey, name: X-Key, in: header}}
  schemas: {Order: {type: object}}
paths:
  /orders:
    get:
      tags: [orders]
      description: One order
      responses: {'200': {description: fine}}
`,
		Good: `openapi: 3.0.3
info: {title: Shop, version: '1', description: Orders of the shop}
servers: [{url: 'https://api.example.com'}]
security: [{key: []}]
components:
  securitySchemes: {key: {type: apiKey, name: X-Key, in: header}}
  schemas: {Order: {type: object}}
paths:
  /orders:
    get:
      tags: [orders]
      description: One order
      responses: {'200': {description: fine, content: {application/json: {schema: {$ref: '#/components/schemas/Order'}}}}}
`,
	},
	serviceField: report.Rule{
		ID: "API030", Severity: report.Error, Syntax: "json",
		Message:   report.Text{En: "A data service lacks a field, or has a wrong one: ApiName, PathUrl, RequestType, ParamName.", Zh: "数据服务缺少必填字段或填写有误：ApiName、PathUrl、RequestType、ParamName。"},
		Rationale: report.Text{En: "It cannot be published. (Own rule for data services of WeData)", Zh: "无法发布。（WeData 数据服务的自有规则）"},
		Bad: `{
  "ApiName": "orders_by_day",
  "PathUrl": "/orders/{day}",
  "RequestType": "",
  "AuthType": 1,
  "MaxAllowQps": 20,
  "MaxAllowPageSize": 1000,
  "RequestParam": [{"ParamName": "day", "ParamPosition": "Path", "BindField": "dt", "NonEmpty": 1, "Description": "the day"}]
}
`,
		Good: `{
  "ApiName": "orders_by_day",
  "PathUrl": "/orders/{day}",
  "RequestType": "GET",
  "AuthType": 1,
  "MaxAllowQps": 20,
  "MaxAllowPageSize": 1000,
  "RequestParam": [{"ParamName": "day", "ParamPosition": "Path", "BindField": "dt", "NonEmpty": 1, "Description": "the day"}]
}
`,
	},
	duplicateService: report.Rule{
		ID: "API031", Severity: report.Error, Syntax: "json",
		Message:   report.Text{En: "Two data services have one name or one address; each needs its own.", Zh: "数据服务的名称或地址重复，应各不相同。"},
		Rationale: report.Text{En: "One silently replaces the other, or the import fails. (Own rule for data services of WeData)", Zh: "其中一个会覆盖另一个，或导入失败。（WeData 数据服务的自有规则）"},
		Bad: `[
{
  "ApiName": "orders_by_day",
  "PathUrl": "/orders/{day}",
  "RequestType": "GET",
  "AuthType": 1,
  "MaxAllowQps": 20,
  "MaxAllowPageSize": 1000,
  "RequestParam": [{"ParamName": "day", "ParamPosition": "Path", "BindField": "dt", "NonEmpty": 1, "Description": "the day"}]
},
{
  "ApiName": "orders_of_day",
  "PathUrl": "/orders/{day}",
  "RequestType": "GET",
  "AuthType": 1,
  "MaxAllowQps": 20,
  "MaxAllowPageSize": 1000,
  "RequestParam": [{"ParamName": "day", "ParamPosition": "Path", "BindField": "dt", "NonEmpty": 1, "Description": "the day"}]
}
]
`,
		Good: `[
{
  "ApiName": "orders_by_day",
  "PathUrl": "/orders/{day}",
  "RequestType": "GET",
  "AuthType": 1,
  "MaxAllowQps": 20,
  "MaxAllowPageSize": 1000,
  "RequestParam": [{"ParamName": "day", "ParamPosition": "Path", "BindField": "dt", "NonEmpty": 1, "Description": "the day"}]
},
{
  "ApiName": "orders_of_day",
  "PathUrl": "/orders/{day}",
  "RequestType": "POST",
  "AuthType": 1,
  "MaxAllowQps": 20,
  "MaxAllowPageSize": 1000,
  "RequestParam": [{"ParamName": "day", "ParamPosition": "Path", "BindField": "dt", "NonEmpty": 1, "Description": "the day"}]
}
]
`,
	},
	serviceBinding: report.Rule{
		ID: "API032", Severity: report.Error, Syntax: "json",
		Message:   report.Text{En: "Placeholders of a path and its path parameters do not fit each other; declare each.", Zh: "路径占位符与 path 参数不一致，请逐一声明。"},
		Rationale: report.Text{En: "A placeholder to which nothing is bound cannot be filled. (Own rule for data services of WeData)", Zh: "未绑定参数的占位符无法赋值。（WeData 数据服务的自有规则）"},
		Bad: `{
  "ApiName": "orders_by_day",
  "PathUrl": "/orders/{day}",
  "RequestType": "GET",
  "AuthType": 1,
  "MaxAllowQps": 20,
  "MaxAllowPageSize": 1000,
  "RequestParam": []
}
`,
		Good: `{
  "ApiName": "orders_by_day",
  "PathUrl": "/orders/{day}",
  "RequestType": "GET",
  "AuthType": 1,
  "MaxAllowQps": 20,
  "MaxAllowPageSize": 1000,
  "RequestParam": [{"ParamName": "day", "ParamPosition": "Path", "BindField": "dt", "NonEmpty": 1, "Description": "the day"}]
}
`,
	},
	serviceParameter: report.Rule{
		ID: "API033", Severity: report.Error, Syntax: "json",
		Message:   report.Text{En: "A data service has a parameter twice; keep one.", Zh: "数据服务的参数重复，请只保留一个。"},
		Rationale: report.Text{En: "Which of them counts is left to chance. (Own rule for data services of WeData)", Zh: "以哪一个为准无法预期。（WeData 数据服务的自有规则）"},
		Bad: `{
  "ApiName": "orders_by_day",
  "PathUrl": "/orders",
  "RequestType": "GET",
  "AuthType": 1,
  "MaxAllowQps": 20,
  "MaxAllowPageSize": 1000,
  "RequestParam": [{"ParamName": "day", "ParamPosition": "Query", "Description": "from"}, {"ParamName": "day", "ParamPosition": "Query", "Description": "to"}]
}
`,
		Good: `{
  "ApiName": "orders_by_day",
  "PathUrl": "/orders",
  "RequestType": "GET",
  "AuthType": 1,
  "MaxAllowQps": 20,
  "MaxAllowPageSize": 1000,
  "RequestParam": [{"ParamName": "from", "ParamPosition": "Query", "Description": "from"}, {"ParamName": "to", "ParamPosition": "Query", "Description": "to"}]
}
`,
	},
	serviceAuth: report.Rule{
		ID: "API034", Severity: report.Warning, Syntax: "json",
		Message:   report.Text{En: "A data service asks for no authentication; use AuthType 1 or 2.", Zh: "数据服务免认证，请将 AuthType 设为 1 或 2。"},
		Rationale: report.Text{En: "Everybody who reaches the gateway reads the data. (Own rule for data services of WeData)", Zh: "任何能访问网关的人都可以读取数据。（WeData 数据服务的自有规则）"},
		Bad: `{
  "ApiName": "orders_by_day",
  "PathUrl": "/orders/{day}",
  "RequestType": "GET",
  "AuthType": 0,
  "MaxAllowQps": 20,
  "MaxAllowPageSize": 1000,
  "RequestParam": [{"ParamName": "day", "ParamPosition": "Path", "BindField": "dt", "NonEmpty": 1, "Description": "the day"}]
}
`,
		Good: `{
  "ApiName": "orders_by_day",
  "PathUrl": "/orders/{day}",
  "RequestType": "GET",
  "AuthType": 1,
  "MaxAllowQps": 20,
  "MaxAllowPageSize": 1000,
  "RequestParam": [{"ParamName": "day", "ParamPosition": "Path", "BindField": "dt", "NonEmpty": 1, "Description": "the day"}]
}
`,
	},
	serviceQPS: report.Rule{
		ID: "API035", Severity: report.Warning, Syntax: "json",
		Message:   report.Text{En: "A data service does not limit its requests; set MaxAllowQps.", Zh: "数据服务未限制请求频率，请设置 MaxAllowQps。"},
		Rationale: report.Text{En: "One caller can take all that the database has. (Own rule for data services of WeData)", Zh: "单个调用方就可能耗尽数据库资源。（WeData 数据服务的自有规则）"},
		Bad: `{
  "ApiName": "orders_by_day",
  "PathUrl": "/orders/{day}",
  "RequestType": "GET",
  "AuthType": 1,
  "MaxAllowPageSize": 1000,
  "RequestParam": [{"ParamName": "day", "ParamPosition": "Path", "BindField": "dt", "NonEmpty": 1, "Description": "the day"}]
}
`,
		Good: `{
  "ApiName": "orders_by_day",
  "PathUrl": "/orders/{day}",
  "RequestType": "GET",
  "AuthType": 1,
  "MaxAllowQps": 20,
  "MaxAllowPageSize": 1000,
  "RequestParam": [{"ParamName": "day", "ParamPosition": "Path", "BindField": "dt", "NonEmpty": 1, "Description": "the day"}]
}
`,
	},
	servicePage: report.Rule{
		ID: "API036", Severity: report.Warning, Syntax: "json",
		Message:   report.Text{En: "A data service does not limit its rows; set MaxAllowPageSize.", Zh: "数据服务未限制返回条数，请设置 MaxAllowPageSize。"},
		Rationale: report.Text{En: "One request can take the whole table. (Own rule for data services of WeData)", Zh: "一次请求就可能返回整张表。（WeData 数据服务的自有规则）"},
		Bad: `{
  "ApiName": "orders_by_day",
  "PathUrl": "/orders/{day}",
  "RequestType": "GET",
  "AuthType": 1,
  "MaxAllowQps": 20,
  "RequestParam": [{"ParamName": "day", "ParamPosition": "Path", "BindField": "dt", "NonEmpty": 1, "Description": "the day"}]
}
`,
		Good: `{
  "ApiName": "orders_by_day",
  "PathUrl": "/orders/{day}",
  "RequestType": "GET",
  "AuthType": 1,
  "MaxAllowQps": 20,
  "MaxAllowPageSize": 1000,
  "RequestParam": [{"ParamName": "day", "ParamPosition": "Path", "BindField": "dt", "NonEmpty": 1, "Description": "the day"}]
}
`,
	},
	serviceDescription: report.Rule{
		ID: "API037", Severity: report.Note, Syntax: "json",
		Message:   report.Text{En: "A parameter of a data service has no description; say what it means.", Zh: "数据服务的参数缺少描述，请说明其含义。"},
		Rationale: report.Text{En: "Callers have only its name to go by. (Own rule for data services of WeData)", Zh: "调用方只能凭名称猜测。（WeData 数据服务的自有规则）"},
		Bad: `{
  "ApiName": "orders_by_day",
  "PathUrl": "/orders/{day}",
  "RequestType": "GET",
  "AuthType": 1,
  "MaxAllowQps": 20,
  "MaxAllowPageSize": 1000,
  "RequestParam": [{"ParamName": "day", "ParamPosition": "Path", "BindField": "dt", "NonEmpty": 1}]
}
`,
		Good: `{
  "ApiName": "orders_by_day",
  "PathUrl": "/orders/{day}",
  "RequestType": "GET",
  "AuthType": 1,
  "MaxAllowQps": 20,
  "MaxAllowPageSize": 1000,
  "RequestParam": [{"ParamName": "day", "ParamPosition": "Path", "BindField": "dt", "NonEmpty": 1, "Description": "the day"}]
}
`,
	},
	collectionSecret: report.Rule{
		ID: "API040", Severity: report.Error, Syntax: "json", Security: true,
		Message:   report.Text{En: "A collection holds a secret in plain text; keep it in a variable, and change it.", Zh: "集合中含有明文凭据，请改用变量，并更换该凭据。"},
		Rationale: report.Text{En: "Whoever gets the package gets the access. The value is never shown. (Own rule for collections of Postman)", Zh: "拿到安装包的人即可获得访问权限。凭据内容不会被显示。（Postman 集合的自有规则）"},
		Bad: `{
  "info": {"name": "shop", "schema": "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"},
  "item": [{"name": "orders", "request": {"method": "GET", "url": {"raw": "{{baseUrl}}/orders"},
    "header": [{"key": "Authorization", "value": "Bearer 9f2c77ab41"}]}}]
}
`,
		Good: `{
  "info": {"name": "shop", "schema": "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"},
  "item": [{"name": "orders", "request": {"method": "GET", "url": {"raw": "{{baseUrl}}/orders"},
    "header": [{"key": "Authorization", "value": "Bearer {{token}}"}]}}]
}
`,
	},
	absoluteHost: report.Rule{
		ID: "API041", Severity: report.Warning, Syntax: "json",
		Message:   report.Text{En: "Requests of a collection go to a host by its name; put it into a variable.", Zh: "集合中的请求写死了主机，请改用变量。"},
		Rationale: report.Text{En: "The collection works in one environment only, and may be run against production by mistake. (Own rule for collections of Postman)", Zh: "集合只能用于一个环境，还可能误对生产环境执行。（Postman 集合的自有规则）"},
		Configure: report.Text{En: "httpHosts: hosts that may stand there; localhost by default.", Zh: "httpHosts：允许出现的主机，默认为 localhost。"},
		Bad: `{
  "info": {"name": "shop", "schema": "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"},
  "item": [{"name": "orders", "request": {"method": "GET", "url": {"raw": "https://api.example.com/orders"},
    "header": [{"key": "Authorization", "value": "Bearer {{token}}"}]}}]
}
`,
		Good: `{
  "info": {"name": "shop", "schema": "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"},
  "item": [{"name": "orders", "request": {"method": "GET", "url": {"raw": "{{baseUrl}}/orders"},
    "header": [{"key": "Authorization", "value": "Bearer {{token}}"}]}}]
}
`,
	},
}
