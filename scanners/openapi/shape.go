package openapi

import "unicode/utf8"

// shape is an object as the specification describes it: which members it has, what
// they may be, and which it must have. Members that are not named are left alone,
// as are extensions (x-…); only at the top of a document they are an error.
type shape struct {
	name, zh string // what people call it
	fields   map[string]field
	pattern  *field   // of all members that fields does not name
	required []string // in the order in which they are missed
	closed   bool     // members that are not known are wrong
	ref      bool     // a reference may stand for it
	siblings []string // members that count beside a reference
	any      bool     // beside a reference everything counts
	boolean  bool     // true or false may stand for it
	on       func(w *walker, n *node)
}

// inChinese is the shape's name as it stands before Chinese words.
func (s *shape) inChinese() string {
	if s.zh[len(s.zh)-1] < utf8.RuneSelf {
		return s.zh + " "
	}
	return s.zh
}

// sort of what a member may be.
type sort uint8

const (
	anything sort = iota
	scalarSort
	truth     // true or false
	aNumber   // or a text of digits, as templates write it
	textList  // texts
	one       // an object of a shape
	listOf    // objects of a shape
	dictOf    // objects of a shape, by name
	listOrOne // either
)

type field struct {
	sort sort
	of   *shape
}

func fieldsOf(groups ...map[string]field) map[string]field {
	all := map[string]field{}
	for _, g := range groups {
		for name, f := range g {
			all[name] = f
		}
	}
	return all
}

// each gives several members one sort.
func each(s sort, names ...string) map[string]field {
	fields := map[string]field{}
	for _, n := range names {
		fields[n] = field{sort: s}
	}
	return fields
}

// edition is a version of the specification, as far as shapes differ.
type edition uint8

const (
	swagger2 edition = iota
	openapi30
	openapi31 // and 3.2, which adds to it
)

// roots are the shapes of whole documents.
var roots = map[edition]*shape{swagger2: swagger2Root(), openapi30: openapiRoot(openapi30), openapi31: openapiRoot(openapi31)}

var methods = map[edition][]string{
	swagger2:  {"get", "put", "post", "delete", "options", "head", "patch"},
	openapi30: {"get", "put", "post", "delete", "options", "head", "patch", "trace"},
	openapi31: {"get", "put", "post", "delete", "options", "head", "patch", "trace", "query"},
}

// What all editions have.
func infoShape() *shape {
	contact := &shape{name: "contact", zh: "contact", fields: each(scalarSort, "name", "url", "email")}
	license := &shape{name: "license", zh: "license", required: []string{"name"}, fields: each(scalarSort, "name", "url", "identifier")}
	return &shape{name: "info", zh: "info", required: []string{"title", "version"},
		fields: fieldsOf(each(scalarSort, "title", "version", "description", "summary", "termsOfService"),
			map[string]field{"contact": {one, contact}, "license": {one, license}})}
}

func tagShape(docs *shape) *shape {
	return &shape{name: "tag", zh: "tag", required: []string{"name"},
		fields: fieldsOf(each(scalarSort, "name", "description", "summary"), map[string]field{"externalDocs": {one, docs}})}
}

func docsShape() *shape {
	return &shape{name: "externalDocs", zh: "externalDocs", required: []string{"url"}, fields: each(scalarSort, "description", "url")}
}

func securityShape() *shape {
	return &shape{name: "security requirement", zh: "安全要求", pattern: &field{sort: textList}, on: (*walker).securityRequirement}
}

// schemaShape is that of data. It refers to itself.
func schemaShape(e edition, docs *shape) *shape {
	s := &shape{name: "schema", zh: "schema", ref: true, on: (*walker).schema}
	self, selves, named := field{one, s}, field{listOf, s}, field{dictOf, s}
	s.fields = fieldsOf(
		each(scalarSort, "title", "description", "format", "pattern"),
		each(aNumber, "multipleOf", "maximum", "minimum", "maxLength", "minLength", "maxItems", "minItems", "maxProperties", "minProperties"),
		each(truth, "uniqueItems", "nullable", "readOnly", "writeOnly", "deprecated"),
		each(textList, "required"),
		map[string]field{
			"enum": {sort: anything}, "externalDocs": {one, docs},
			"properties": named, "items": self, "allOf": selves, "anyOf": selves, "oneOf": selves, "not": self, "additionalProperties": self,
		})
	s.boolean = true // additionalProperties, and everywhere since 3.1
	if e == openapi31 {
		s.any = true
		for _, name := range []string{"if", "then", "else", "contains", "propertyNames", "unevaluatedItems", "unevaluatedProperties", "contentSchema"} {
			s.fields[name] = self
		}
		for _, name := range []string{"$defs", "definitions", "patternProperties", "dependentSchemas"} {
			s.fields[name] = named
		}
		s.fields["prefixItems"] = selves
	} else {
		s.fields["type"] = field{sort: scalarSort}
		if e == swagger2 {
			s.fields["items"] = field{listOrOne, s}
			delete(s.fields, "deprecated")
		}
	}
	return s
}

func openapiRoot(e edition) *shape {
	docs, info := docsShape(), infoShape()
	schema := schemaShape(e, docs)
	security := securityShape()
	variable := &shape{name: "server variable", zh: "server 变量", required: []string{"default"},
		fields: fieldsOf(each(scalarSort, "default", "description"), each(textList, "enum"))}
	server := &shape{name: "server", zh: "server", required: []string{"url"}, on: (*walker).server,
		fields: fieldsOf(each(scalarSort, "url", "description"), map[string]field{"variables": {dictOf, variable}})}

	// referable are objects for which a reference may stand; since 3.1 it may have
	// words of its own.
	referable := func(s *shape) *shape {
		s.ref = true
		if e == openapi31 {
			s.siblings = []string{"summary", "description"}
		}
		return s
	}
	example := referable(&shape{name: "example", zh: "example", fields: each(scalarSort, "summary", "description", "externalValue")})
	media := &shape{name: "media type", zh: "媒体类型"}
	header := referable(&shape{name: "header", zh: "header"})
	encoding := &shape{name: "encoding", zh: "encoding", fields: fieldsOf(each(scalarSort, "contentType", "style"), each(truth, "explode", "allowReserved"),
		map[string]field{"headers": {dictOf, header}})}
	media.fields = map[string]field{"schema": {one, schema}, "examples": {dictOf, example}, "encoding": {dictOf, encoding}, "itemSchema": {one, schema}}
	if e == openapi31 {
		media.ref = true // since 3.2
	}
	valued := fieldsOf(each(scalarSort, "description", "style"), each(truth, "required", "deprecated", "allowEmptyValue", "explode", "allowReserved"),
		map[string]field{"schema": {one, schema}, "examples": {dictOf, example}, "content": {dictOf, media}})
	header.fields = valued
	parameter := referable(&shape{name: "parameter", zh: "参数", required: []string{"name", "in"}, on: (*walker).parameter,
		fields: fieldsOf(valued, each(scalarSort, "name", "in"))})
	body := referable(&shape{name: "request body", zh: "请求体", required: []string{"content"},
		fields: fieldsOf(each(scalarSort, "description"), each(truth, "required"), map[string]field{"content": {dictOf, media}})})
	link := referable(&shape{name: "link", zh: "link", fields: fieldsOf(each(scalarSort, "operationRef", "operationId", "description"), map[string]field{"server": {one, server}})})
	response := referable(&shape{name: "response", zh: "响应", required: []string{"description"},
		fields: fieldsOf(each(scalarSort, "description", "summary"), map[string]field{"headers": {dictOf, header}, "content": {dictOf, media}, "links": {dictOf, link}})})
	responses := &shape{name: "responses", zh: "responses", pattern: &field{one, response}, on: (*walker).responses}
	item := &shape{name: "path item", zh: "路径项", ref: true, any: true}
	callback := referable(&shape{name: "callback", zh: "callback", pattern: &field{one, item}})
	operation := &shape{name: "operation", zh: "接口", on: (*walker).operation,
		fields: fieldsOf(each(scalarSort, "summary", "description", "operationId"), each(textList, "tags"), each(truth, "deprecated"), map[string]field{
			"externalDocs": {one, docs}, "parameters": {listOf, parameter}, "requestBody": {one, body}, "responses": {one, responses},
			"callbacks": {dictOf, callback}, "security": {listOf, security}, "servers": {listOf, server}})}
	if e == openapi30 {
		operation.required = []string{"responses"}
	}
	item.fields = fieldsOf(each(scalarSort, "summary", "description", "$ref"), map[string]field{"servers": {listOf, server}, "parameters": {listOf, parameter}})
	for _, m := range methods[e] {
		item.fields[m] = field{one, operation}
	}
	item.fields["additionalOperations"] = field{dictOf, operation}
	scheme := referable(&shape{name: "security scheme", zh: "安全方案", required: []string{"type"}, on: (*walker).securityScheme,
		fields: fieldsOf(each(scalarSort, "type", "description", "name", "in", "scheme", "bearerFormat", "openIdConnectUrl"), each(anything, "flows"))})

	components := &shape{name: "components", zh: "components", fields: map[string]field{
		"schemas": {dictOf, schema}, "responses": {dictOf, response}, "parameters": {dictOf, parameter}, "examples": {dictOf, example},
		"requestBodies": {dictOf, body}, "headers": {dictOf, header}, "securitySchemes": {dictOf, scheme}, "links": {dictOf, link},
		"callbacks": {dictOf, callback}}}
	paths := &shape{name: "paths", zh: "paths", pattern: &field{one, item}, on: (*walker).paths}
	root := &shape{name: "document", zh: "文档", closed: true, required: []string{"info"},
		fields: fieldsOf(each(scalarSort, "openapi"), map[string]field{
			"info": {one, info}, "servers": {listOf, server}, "paths": {one, paths}, "components": {one, components},
			"security": {listOf, security}, "tags": {listOf, tagShape(docs)}, "externalDocs": {one, docs}})}
	if e == openapi30 {
		root.required = append(root.required, "paths")
	} else {
		components.fields["pathItems"] = field{dictOf, item}
		components.fields["mediaTypes"] = field{dictOf, media}
		root.fields["webhooks"] = field{dictOf, item}
		root.fields["jsonSchemaDialect"] = field{sort: scalarSort}
		root.fields["$self"] = field{sort: scalarSort}
	}
	return root
}

func swagger2Root() *shape {
	docs, info := docsShape(), infoShape()
	schema := schemaShape(swagger2, docs)
	security := securityShape()
	// What stands outside of bodies is described without a schema.
	plain := fieldsOf(each(scalarSort, "type", "format", "description", "collectionFormat", "pattern"),
		each(aNumber, "maximum", "minimum", "maxLength", "minLength", "maxItems", "minItems", "multipleOf"),
		each(truth, "exclusiveMaximum", "exclusiveMinimum", "uniqueItems"), each(anything, "enum", "default"))
	items := &shape{name: "items", zh: "items", on: (*walker).schema}
	items.fields = fieldsOf(plain, map[string]field{"items": {one, items}})
	header := &shape{name: "header", zh: "header", required: []string{"type"}, fields: fieldsOf(plain, map[string]field{"items": {one, items}}), on: (*walker).schema}
	parameter := &shape{name: "parameter", zh: "参数", ref: true, required: []string{"name", "in"}, on: (*walker).parameter,
		fields: fieldsOf(plain, each(scalarSort, "name", "in"), each(truth, "required", "allowEmptyValue"), map[string]field{"schema": {one, schema}, "items": {one, items}})}
	response := &shape{name: "response", zh: "响应", ref: true, required: []string{"description"},
		fields: fieldsOf(each(scalarSort, "description"), map[string]field{"schema": {one, schema}, "headers": {dictOf, header}})}
	responses := &shape{name: "responses", zh: "responses", pattern: &field{one, response}, on: (*walker).responses}
	operation := &shape{name: "operation", zh: "接口", required: []string{"responses"}, on: (*walker).operation,
		fields: fieldsOf(each(scalarSort, "summary", "description", "operationId"), each(textList, "tags", "consumes", "produces", "schemes"), each(truth, "deprecated"),
			map[string]field{"externalDocs": {one, docs}, "parameters": {listOf, parameter}, "responses": {one, responses}, "security": {listOf, security}})}
	item := &shape{name: "path item", zh: "路径项", ref: true, any: true,
		fields: fieldsOf(each(scalarSort, "$ref"), map[string]field{"parameters": {listOf, parameter}})}
	for _, m := range methods[swagger2] {
		item.fields[m] = field{one, operation}
	}
	scheme := &shape{name: "security definition", zh: "安全定义", required: []string{"type"}, on: (*walker).securityScheme,
		fields: fieldsOf(each(scalarSort, "type", "description", "name", "in", "flow", "authorizationUrl", "tokenUrl"), each(anything, "scopes"))}
	paths := &shape{name: "paths", zh: "paths", pattern: &field{one, item}, on: (*walker).paths}
	return &shape{name: "document", zh: "文档", closed: true, required: []string{"info", "paths"},
		fields: fieldsOf(each(scalarSort, "swagger", "host", "basePath"), each(textList, "schemes", "consumes", "produces"), map[string]field{
			"info": {one, info}, "paths": {one, paths}, "definitions": {dictOf, schema}, "parameters": {dictOf, parameter}, "responses": {dictOf, response},
			"securityDefinitions": {dictOf, scheme}, "security": {listOf, security}, "tags": {listOf, tagShape(docs)}, "externalDocs": {one, docs}})}
}
