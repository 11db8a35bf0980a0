package openapi

import (
	"fmt"
	"slices"
	"strings"

	"github.com/factgate/factgate/domain/report"
)

// services knows the data services of a package: names and addresses are unique among
// all of them.
type services struct {
	names, addresses map[string]string // to the path of the file that has them first
}

func newServices() *services {
	return &services{names: map[string]string{}, addresses: map[string]string{}}
}

// attribute is a member of a data service by its name, which exports write with a
// small letter, too.
func attribute(n *node, name string) *node { return n.get(spelt(n, name)) }

// spelt is the name as it stands in n.
func spelt(n *node, name string) string {
	if small := strings.ToLower(name[:1]) + name[1:]; n.get(name) == nil && n.get(small) != nil {
		return small
	}
	return name
}

// missing: there is no such value, or an empty one.
func missing(n *node) bool {
	return n == nil || n.kind == null || n.kind == text && strings.TrimSpace(n.text) == ""
}

// checkServices looks for data services wherever they stand: alone, in lists, in
// answers of the API.
func (c *check) checkServices(n *node, known *services, way []step) int {
	if len(way) > 16 || c.stopped() {
		return 0
	}
	if n.kind == object && attribute(n, "PathUrl") != nil && attribute(n, "RequestParam") != nil {
		c.service(n, known, way)
		return 1
	}
	found := 0
	for i, m := range n.members {
		s := step{m.name, -1}
		if n.kind == list {
			s = step{index: i}
		}
		found += c.checkServices(m.value, known, append(way, s))
	}
	return found
}

func (c *check) service(n *node, known *services, way []step) {
	name, address, method := attribute(n, "ApiName"), attribute(n, "PathUrl"), attribute(n, "RequestType")
	called := "?"
	switch {
	case !missing(name):
		called = clip(name.text, 100)
	case !missing(address):
		called = clip(address.text, 100)
	}
	at := func(r *report.Rule, of *node, member, en, zh string) {
		place := way
		if member != "" {
			place = append(slices.Clone(way), named(spelt(n, member)))
		}
		if of == nil {
			of = n
		}
		c.add(r, of.line, of.column, pointerOf(place...), report.Text{En: en, Zh: zh})
	}
	for _, need := range []struct {
		member string
		value  *node
	}{{"ApiName", name}, {"PathUrl", address}, {"RequestType", method}} {
		if missing(need.value) {
			at(&rules.serviceField, need.value, need.member, fmt.Sprintf("The data service %s has no %s; fill it in.", called, need.member), fmt.Sprintf("数据服务 %s 缺少 %s，请填写。", called, need.member))
		}
	}
	if !missing(address) && !strings.HasPrefix(address.text, "/") {
		at(&rules.serviceField, address, "PathUrl", fmt.Sprintf("The path of the data service %s does not begin with a slash.", called), fmt.Sprintf("数据服务 %s 的路径未以斜杠开头。", called))
	}
	if method != nil && method.kind == text && !missing(method) && !slices.Contains([]string{"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD"}, strings.ToUpper(method.text)) {
		at(&rules.serviceField, method, "RequestType", fmt.Sprintf("The data service %s has the request type %s, which is no method of HTTP.", called, clip(method.text, 60)),
			fmt.Sprintf("数据服务 %s 的请求方式 %s 不是有效的 HTTP 方法。", called, clip(method.text, 60)))
	}
	if !missing(name) {
		c.unique(known.names, name.text, func(other string) {
			at(&rules.duplicateService, name, "ApiName", fmt.Sprintf("The data service %s is there twice (also in %s); names must differ.", called, other), fmt.Sprintf("数据服务名称 %s 重复（另见 %s），名称应唯一。", called, other))
		})
	}
	if !missing(address) && !missing(method) {
		c.unique(known.addresses, strings.ToUpper(method.text)+" "+address.text, func(other string) {
			at(&rules.duplicateService, address, "PathUrl", fmt.Sprintf("The data service %s has the address of another (%s %s, also in %s); each needs its own.", called, clip(method.text, 20), clip(address.text, 200), other),
				fmt.Sprintf("数据服务 %s 的请求地址 %s %s 重复（另见 %s），地址应唯一。", called, clip(method.text, 20), clip(address.text, 200), other))
		})
	}
	if auth := attribute(n, "AuthType"); auth != nil && auth.text == "0" {
		at(&rules.serviceAuth, auth, "AuthType", fmt.Sprintf("The data service %s asks for no authentication (AuthType 0); use 1 (application) or 2 (OAuth 2.0).", called),
			fmt.Sprintf("数据服务 %s 免认证（AuthType 为 0），请改为 1（应用认证）或 2（OAuth2.0）。", called))
	}
	for _, limit := range []struct {
		member, en, zh string
		rule           *report.Rule
	}{
		{"MaxAllowQps", "requests in a second", "每秒请求数", &rules.serviceQPS},
		{"MaxAllowPageSize", "rows in an answer", "单次返回记录数", &rules.servicePage},
	} {
		if v := attribute(n, limit.member); missing(v) || v.text == "0" || strings.HasPrefix(v.text, "-") {
			at(limit.rule, v, limit.member, fmt.Sprintf("The data service %s does not limit the %s; set %s.", called, limit.en, limit.member),
				fmt.Sprintf("数据服务 %s 未限制%s，请设置 %s。", called, limit.zh, limit.member))
		}
	}
	c.serviceParameters(n, called, way)
}

// unique remembers who has a name first.
func (c *check) unique(known map[string]string, name string, again func(other string)) {
	if other, twice := known[name]; twice {
		again(other)
	} else if len(known) < c.limits.Nodes {
		known[name] = c.path
	}
}

func (c *check) serviceParameters(n *node, called string, way []step) {
	list, address := attribute(n, "RequestParam"), attribute(n, "PathUrl")
	names, _ := placeholders(address.string())
	bound := map[string]bool{}
	twice := map[string]bool{}
	way = append(slices.Clone(way), named(spelt(n, "RequestParam")))
	if list != nil {
		for i, m := range list.members {
			p := m.value
			if p.kind != object {
				continue
			}
			place := pointerOf(append(slices.Clone(way), step{index: i})...)
			name := attribute(p, "ParamName")
			if missing(name) {
				c.add(&rules.serviceField, p.line, p.column, place, report.Text{
					En: fmt.Sprintf("A parameter of the data service %s has no ParamName; fill it in.", called), Zh: fmt.Sprintf("数据服务 %s 的参数缺少 ParamName，请填写。", called)})
				continue
			}
			where := strings.ToLower(attribute(p, "ParamPosition").string())
			if id := where + " " + name.text; twice[id] {
				c.add(&rules.serviceParameter, p.line, p.column, place, report.Text{
					En: fmt.Sprintf("The data service %s has the parameter %s twice; keep one.", called, clip(name.text, 100)), Zh: fmt.Sprintf("数据服务 %s 的参数 %s 重复，请只保留一个。", called, clip(name.text, 100))})
			} else {
				twice[id] = true
			}
			if where == "path" {
				bound[name.text] = true
				if !slices.Contains(names[:min(len(names), 100)], name.text) {
					c.add(&rules.serviceBinding, p.line, p.column, place, report.Text{
						En: fmt.Sprintf("The path of the data service %s has no {%s}, which a parameter in path is for; add it, or move the parameter.", called, clip(name.text, 100)),
						Zh: fmt.Sprintf("数据服务 %s 的路径中没有 path 参数 {%s}，请在路径中补充或调整参数位置。", called, clip(name.text, 100))})
				}
			}
			if missing(attribute(p, "Description")) {
				c.add(&rules.serviceDescription, p.line, p.column, place, report.Text{
					En: fmt.Sprintf("The parameter %s of the data service %s has no description; say what it means.", clip(name.text, 100), called),
					Zh: fmt.Sprintf("数据服务 %[2]s 的参数 %[1]s 缺少描述，请说明其含义。", clip(name.text, 100), called)})
			}
		}
	}
	for i, name := range names {
		if i < 100 && !bound[name] {
			c.add(&rules.serviceBinding, address.line, address.column, pointerOf(append(slices.Clone(way[:len(way)-1]), named(spelt(n, "PathUrl")))...), report.Text{
				En: fmt.Sprintf("The path of the data service %s has {%s}, to which no parameter in path is bound; declare it.", called, clip(name, 100)),
				Zh: fmt.Sprintf("数据服务 %s 的路径含 {%s}，但没有绑定 path 参数，请声明。", called, clip(name, 100))})
		}
	}
}
