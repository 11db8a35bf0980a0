package openapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/factgate/factgate/domain/report"
)

func defaults() Limits { return Limits{}.withDefaults() }

// plain is a node as encoding/json would have it.
func plain(n *node) any {
	switch n.kind {
	case object:
		m := map[string]any{}
		for _, member := range n.members {
			m[member.name] = plain(member.value)
		}
		return m
	case list:
		l := []any{}
		for _, member := range n.members {
			l = append(l, plain(member.value))
		}
		return l
	case text:
		return n.text
	case number:
		return json.Number(n.text)
	case boolean:
		return n.isTrue()
	}
	return nil
}

func TestJSONIsReadAsEverybodyReadsIt(t *testing.T) {
	for _, content := range []string{
		`{}`, `[]`, ` [1, -2.5e+3, 0, "a", true, false, null, {"a": {"b": []}}] `,
		`{"é": "订单 \u8ba2\ud83d\ude00 \"\\\/\b\f\n\r\t", "a": "😀"}`, `"\ud800 alone"`, "\t{\r\n\"a\"\n:\n1}",
	} {
		got, err := parseJSON(t.Context(), content, defaults())
		require.NoError(t, err, content)
		in := json.NewDecoder(strings.NewReader(content))
		in.UseNumber()
		var want any
		require.NoError(t, in.Decode(&want))
		require.Equal(t, want, plain(got.root), content)
		fromYAML, err := parseYAML(t.Context(), strings.ReplaceAll(strings.ReplaceAll(content, `\/`, "/"), "\t", " "), defaults())
		if err == nil && !strings.Contains(content, `\u`) {
			require.Equal(t, want, plain(fromYAML.root), "YAML reads the same: %s", content)
		}
	}
	for _, content := range []string{
		``, `{`, `[1`, `{"a"}`, `{"a":}`, `{"a":1,}`, `[1,]`, `{a:1}`, `01`, `1.`, `.5`, `+1`, `nul`, `tru`, `"a`, "\"a\nb\"", `"\x"`, `"\u12"`, `{} {}`, `0x1`, `Infinity`, `'a'`, `-`, `1e`,
	} {
		_, err := parseJSON(t.Context(), content, defaults())
		var bad *malformed
		require.ErrorAs(t, err, &bad, content)
		require.Positive(t, bad.column)
		require.False(t, json.Valid([]byte(content)), content)
	}
}

func TestPlacesAreCountedInCharacters(t *testing.T) {
	jsonTree, err := parseJSON(t.Context(), "{\"订单\": \"说明\", \"b\":\n  [\"é\", 1]}", defaults())
	require.NoError(t, err)
	yamlTree, err := parseYAML(t.Context(), "{\"订单\": \"说明\", \"b\":\n  [\"é\", 1]}", defaults())
	require.NoError(t, err)
	for _, tree := range []*tree{jsonTree, yamlTree} {
		b := tree.root.members[1]
		require.Equal(t, [2]int32{1, 14}, [2]int32{b.line, b.column})
		one := b.value.members[1].value
		require.Equal(t, [2]int32{2, 9}, [2]int32{one.line, one.column})
	}
}

func TestWhatIsTooMuchIsNotRead(t *testing.T) {
	small := Limits{Nodes: 1000, Depth: 20}.withDefaults()
	lines := func(first string, n int, format string) string {
		var b strings.Builder
		b.WriteString(first)
		for i := 1; i <= n; i++ {
			fmt.Fprintf(&b, strings.ReplaceAll(format, "PREV", fmt.Sprint(i-1)), i)
		}
		return b.String()
	}
	for name, content := range map[string]string{
		"deep JSON":    strings.Repeat("[", 100_000),
		"deep YAML":    strings.Repeat("- ", 1000) + "a",
		"many values":  "[" + strings.Repeat("1,", 2000) + "1]",
		"many in YAML": strings.Repeat("- 1\n", 2000),
		"merges":       lines("a0: &a0 {k: 1}\n", 200, "a%[1]d: &a%[1]d {<<: *aPREV, k%[1]d: 1}\n"),
	} {
		_, err := parse(t.Context(), content, true, small)
		var limit *overLimitError
		require.ErrorAs(t, err, &limit, name)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, content := range []string{"{}", "a: 1"} {
		_, err := parse(ended, content, true, small)
		require.ErrorIs(t, err, context.Canceled)
	}
}

// check a text as a document of OpenAPI.
func checked(t testing.TB, content string, limits Limits) ([]report.Finding, []report.Text) {
	t.Helper()
	c := newCheck(t.Context(), limits, DefaultSettings(), "a.yaml")
	outside, unsure, err := c.content(content, openapi, true, newServices())
	require.NoError(t, err)
	var out kept
	unsure = append(unsure, c.end(&out, outside)...)
	return out, unsure
}

type kept []report.Finding

func (k *kept) Add(f report.Finding) { *k = append(*k, f) }

func TestAliasesAreSharedAndCirclesEnd(t *testing.T) {
	// Each schema holds the one before it twice: 2^60 places, 120 nodes.
	var b strings.Builder
	b.WriteString("openapi: 3.0.0\ninfo: {title: a, version: '1', description: d}\npaths: {}\ncomponents:\n  schemas:\n    S0: &s0 {type: string}\n")
	for i := 1; i <= 60; i++ {
		fmt.Fprintf(&b, "    S%d: &s%d {properties: {a: *s%d, b: *s%d}}\n", i, i, i-1, i-1)
	}
	found, _ := checked(t, b.String(), defaults())
	require.Empty(t, found)

	for _, content := range []string{
		"openapi: 3.0.0\ninfo: {title: a, version: '1'}\npaths: {}\ncomponents: {schemas: {A: &a {properties: {x: *a}, allOf: [*a]}}}\n",
		"openapi: 3.1.0\ninfo: {title: a, version: '1'}\npaths: &p {/a: {get: {callbacks: {c: *p}}}}\n",
		"openapi: 3.1.0\ninfo: {title: a, version: '1'}\nx-a: &a [*a]\npaths: {/a: {$ref: '#/paths/~1a'}, /b: {$ref: '#/x-a/0/0/0'}, /c: {$ref: '#'}}\n",
	} {
		checked(t, content, defaults())
	}
}

func TestReferencesThatMultiplyAreBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString("openapi: 3.0.0\ninfo: {title: a, version: '1'}\nx-item:\n  get: {}\n  parameters:\n")
	b.WriteString(strings.Repeat("  - {name: a, in: query}\n", 1000))
	b.WriteString("paths:\n")
	for i := range 1000 {
		fmt.Fprintf(&b, "  /p%d: {$ref: '#/x-item'}\n", i)
	}
	_, unsure := checked(t, b.String(), Limits{Nodes: 50_000}.withDefaults())
	require.Equal(t, []report.Text{{En: "its parts refer to each other so often that not all of it was looked at", Zh: "各部分相互引用过多，未能检查全部内容"}}, unsure)
}

func TestOnlyTheFirstDocumentIsRead(t *testing.T) {
	_, unsure := checked(t, "openapi: 3.0.0\ninfo: {title: a, version: '1', description: d}\npaths: {}\n---\na: 1\n", defaults())
	require.Equal(t, []report.Text{{En: "only the first document of the file is read", Zh: "文件含多个文档，仅读取了第一个"}}, unsure)
	_, unsure = checked(t, "---\nopenapi: 3.0.0\ninfo: {title: a, version: '1', description: d}\npaths: {}\n...\n", defaults())
	require.Empty(t, unsure)
}

func TestManyFindingsAreCounted(t *testing.T) {
	content := `{"openapi":"3.0.0","info":{},"paths":{` + strings.Repeat(`"a":{},`, mostKept+10) + `"b":{}}}`
	c := newCheck(t.Context(), defaults(), DefaultSettings(), "a.json")
	_, _, err := c.content(content, openapi, false, newServices())
	require.NoError(t, err)
	var out kept
	unsure := c.end(&out, 0)
	require.Len(t, out, mostKept)
	require.Len(t, unsure, 1)
	require.Contains(t, unsure[0].En, fmt.Sprintf("only the first %d", mostKept))
	require.Contains(t, unsure[0].Zh, fmt.Sprintf("仅报告前 %d 个", mostKept))
}

func TestRecognised(t *testing.T) {
	long := `"x-filler": "` + strings.Repeat("x", 200<<10) + `",`
	for content, want := range map[string]format{
		`{"openapi": "3.0.0"}`: openapi, `{"components": {"a": [1, "\"}"]}, "openapi": "3.1.0"}`: openapi, `{"swagger": 2.0}`: openapi,
		`{` + long + `"swagger" : "2.0"}`: openapi, "openapi: 3.0.0\n": openapi, "# x\n'swagger': \"2.0\"\n": openapi, "\ufeffopenapi: 3.0.1": openapi,
		"paths: {}\n\"openapi\": '3.1.0'": openapi, "a: " + strings.Repeat("x", 100<<10) + "\nopenapi: 3.0.0\n": openapi,
		`{"a": {"openapi": "3.0.0"}}`: other, `{"openapi": {"version": "3"}}`: other, `{"openapi": "latest"}`: other, "a:\n  openapi: 3.0.0\n": other,
		"openapi:\n  3: x\n": other, "openapi-generator: 3\n": other, "swagger: {enabled: true}": other, "a: x " + strings.Repeat("x", 65530) + "openapi: 3.0.0": other,
		`{"info": {"schema": "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"}}`: collection,
		`{"info": {"description": "see getpostman.org"}, "a": "getpostman.com"}`:                       other,
		`{"PathUrl": "/a", "RequestParam": []}`:                                                        dataService, `{"Response": {"Data": {"Items": [{"pathUrl": "/a", "requestParam": []}]}}}`: dataService,
		`["PathUrl", "RequestParam"]`: other, `{"a": ["PathUrl"], "RequestParam": "PathUrl"}`: other, `{"b": "openapi", "c": "3.0"}`: other,
		`[{"PathUrl": "/a"}, {"RequestParam": []}]`: other, `{"a": "PathUrl", "b": {"RequestParam": 1}}`: other,
		``: other, `   `: other, `}`: other, `"`: other, `{"a`: other, `{"\`: other, `[[[[[[[[[[[[[{"PathUrl":1,"RequestParam":2}]`: other,
	} {
		got, err := recognise(t.Context(), strings.NewReader(content), true, defaults())
		require.NoError(t, err)
		require.Equal(t, want, got, "%.80s", content)
	}
}

func TestPathsAreAlikeWhenOnlyPlaceholdersDiffer(t *testing.T) {
	require.Equal(t, likeness("/a/{b}/c.{d}"), likeness("/a/{x}/c.{y}"))
	require.NotEqual(t, likeness("/a/{b}"), likeness("/a/b"))
	require.Equal(t, "/a/{b", likeness("/a/{b"))
	for path, want := range map[string]string{"/a/{b}/{c}": "b c true", "/a": " true", "/{}": " false", "/{a": " false", "/a}": " false", "/{a{b}}": " false", "/{ }/{c}": "c false"} {
		names, ok := placeholders(path)
		require.Equal(t, want, strings.Join(names, " ")+fmt.Sprintf(" %t", ok), path)
	}
}

func TestHosts(t *testing.T) {
	require.Equal(t, "api.example.com", hostOf("https://user:pw@API.example.com:8443/a@b"))
	require.Equal(t, "::1", hostOf("http://[::1]:80/"))
}

func FuzzCheck(f *testing.F) {
	for _, r := range Rules() {
		f.Add(r.Bad, true)
		f.Add(r.Good, false)
	}
	f.Add("swagger: '2.0'\nhost: a\nschemes: [http]\ninfo: &i {title: a, <<: *i}\npaths: {/a: {$ref: '#/paths/~1a'}}\n", true)
	f.Add("a: &a\n  <<: [*a, {b: 1}]\nopenapi: 3.1.0\n", true)
	f.Add(`{"openapi":"3.0.0","paths":{"/{a}":{"get":{"parameters":[{"$ref":"#/paths/~1{a}/get/parameters/0"}]}}}}`, false)
	limits := Limits{Nodes: 5000, Depth: 50}.withDefaults()
	f.Fuzz(func(t *testing.T, content string, yamlToo bool) {
		is, err := recognise(t.Context(), strings.NewReader(content), yamlToo, limits)
		require.NoError(t, err)
		for _, as := range []format{is, openapi, dataService, collection} {
			var said [2]string
			for i := range said {
				c := newCheck(t.Context(), limits, DefaultSettings(), "a.yaml")
				outside, unsure, err := c.content(content, as, yamlToo, newServices())
				var limit *overLimitError
				require.True(t, err == nil || errors.As(err, &limit), "%v", err)
				var out kept
				said[i] = fmt.Sprintf("%q %d %v", append(unsure, c.end(&out, outside)...), outside, out)
				for _, f := range out {
					require.Positive(t, f.Line)
					require.Positive(t, f.Column)
				}
			}
			require.Equal(t, said[0], said[1])
		}
	})
}

func FuzzJSON(f *testing.F) {
	f.Add(`{"a": [1, -2.5e3, "\u00e9\n", true, null]}`)
	f.Add(`[1.]`)
	f.Fuzz(func(t *testing.T, content string) {
		got, err := parseJSON(t.Context(), content, Limits{Nodes: 1 << 20, Depth: 1 << 10}.withDefaults())
		var limit *overLimitError
		if errors.As(err, &limit) {
			return
		}
		require.Equal(t, json.Valid([]byte(content)), err == nil, "%q %v", content, err)
		if err == nil && strings.ToValidUTF8(content, "") == content {
			in := json.NewDecoder(strings.NewReader(content))
			in.UseNumber()
			var want any
			require.NoError(t, in.Decode(&want))
			require.Equal(t, want, plain(got.root))
		}
	})
}

// large is a document of about 3 MB that breaks no rule of severity error: 800
// paths, 1,600 operations and 1,600 schemas.
func large(yamlToo bool) string {
	const n = 800
	doc := map[string]any{"openapi": "3.0.3", "info": map[string]any{"title": "large", "version": "1", "description": "A synthetic document."},
		"servers": []any{map[string]any{"url": "https://api.example.com"}}, "security": []any{map[string]any{"key": []any{}}}}
	paths, schemas := map[string]any{}, map[string]any{}
	of := func(name string) map[string]any { return map[string]any{"$ref": "#/components/schemas/" + name} }
	for i := range n {
		name, again := fmt.Sprintf("Order%d", i), fmt.Sprintf("OrderPage%d", i)
		properties := map[string]any{}
		for p := range 12 {
			properties[fmt.Sprintf("property_%d", p)] = map[string]any{"type": "string", "description": "What this property of an order means to those who read it.", "maxLength": 200 + p}
		}
		properties["next"] = of(fmt.Sprintf("Order%d", (i+1)%n))
		properties["state"] = map[string]any{"type": "string", "enum": []any{"new", "paid", "sent", "returned"}}
		schemas[name] = map[string]any{"type": "object", "required": []any{"property_0"}, "properties": properties}
		schemas[again] = map[string]any{"type": "object", "properties": map[string]any{"items": map[string]any{"type": "array", "items": of(name)}, "total": map[string]any{"type": "integer"}}}
		answer := func(schema string) map[string]any {
			return map[string]any{"200": map[string]any{"description": "Fine.", "content": map[string]any{"application/json": map[string]any{"schema": of(schema)}}}}
		}
		parameters := []any{map[string]any{"name": "id", "in": "path", "required": true, "schema": map[string]any{"type": "string"}}}
		paths[fmt.Sprintf("/shops/{id}/orders%d", i)] = map[string]any{
			"get": map[string]any{"operationId": fmt.Sprintf("list%d", i), "tags": []any{"orders"}, "description": "Lists the orders of a shop, the youngest first.",
				"parameters": append(parameters, map[string]any{"name": "limit", "in": "query", "schema": map[string]any{"type": "integer"}}), "responses": answer(again)},
			"post": map[string]any{"operationId": fmt.Sprintf("create%d", i), "tags": []any{"orders"}, "description": "Takes an order.", "parameters": parameters,
				"requestBody": map[string]any{"content": map[string]any{"application/json": map[string]any{"schema": of(name)}}}, "responses": answer(name)},
		}
	}
	doc["paths"] = paths
	doc["components"] = map[string]any{"schemas": schemas, "securitySchemes": map[string]any{"key": map[string]any{"type": "apiKey", "name": "X-Key", "in": "header"}}}
	if yamlToo {
		out, _ := yaml.Marshal(doc)
		return string(out)
	}
	out, _ := json.MarshalIndent(doc, "", " ")
	return string(out)
}

func TestTheLargeDocumentIsFine(t *testing.T) {
	for _, yamlToo := range []bool{false, true} {
		found, unsure := checked(t, large(yamlToo), defaults())
		require.Empty(t, found)
		require.Empty(t, unsure)
	}
}

func benchmark(b *testing.B, yamlToo bool) {
	content := large(yamlToo)
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		c := newCheck(b.Context(), defaults(), DefaultSettings(), "a")
		outside, _, err := c.content(content, openapi, yamlToo, newServices())
		if err != nil {
			b.Fatal(err)
		}
		var out kept
		c.end(&out, outside)
	}
}

func BenchmarkJSON(b *testing.B) { benchmark(b, false) }

func BenchmarkYAML(b *testing.B) { benchmark(b, true) }
