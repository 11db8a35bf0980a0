package openapi

import (
	"fmt"
	"slices"
	"strings"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/internal/secrets"
)

// postman looks through a collection for what should not leave a house.
type postman struct {
	*check
	hosts map[string]*hostUse
	order []string
}

// hostUse is how often a collection calls a host, and where first.
type hostUse struct {
	n       *node
	pointer string
	count   int
}

func (c *check) checkCollection(root *node) {
	p := &postman{check: c, hosts: map[string]*hostUse{}}
	p.look(root, nil, "")
	for _, host := range p.order {
		use := p.hosts[host]
		c.add(&rules.absoluteHost, use.n.line, use.n.column, use.pointer, report.Text{
			En: fmt.Sprintf("Requests go to %s by its name (requests: %d); put the host into a variable, such as {{baseUrl}}.", clip(host, 200), use.count),
			Zh: fmt.Sprintf("请求地址写死了主机 %s（共 %d 处），请改用变量，如 {{baseUrl}}。", clip(host, 200), use.count)})
	}
}

// look goes through everything; in is the name of the member around.
func (p *postman) look(n *node, way []step, in string) {
	if p.stopped() || len(way) > p.limits.Depth {
		return
	}
	switch n.kind {
	case object:
		p.pair(n, way)
		if in == "auth" {
			p.auth(n, way)
			return
		}
		for _, m := range n.members {
			if m.name == "url" || in == "url" && m.name == "raw" || m.name == "request" && m.value.kind == text {
				p.address(m.value, append(way, named(m.name)))
			}
			p.look(m.value, append(way, named(m.name)), m.name)
		}
	case list:
		for i, m := range n.members {
			p.look(m.value, append(way, step{index: i}), in)
		}
	case text:
		if in == "raw" {
			p.body(n, way)
		}
		p.tokens(n, way)
	}
}

// pair is an object with key and value: a header, a variable, a parameter, a field.
func (p *postman) pair(n *node, way []step) {
	key, value := n.get("key"), n.get("value")
	if key == nil || value == nil || value.kind != text {
		return
	}
	name := key.string()
	var plain bool
	switch {
	case strings.EqualFold(name, "Authorization") || strings.EqualFold(name, "Proxy-Authorization"):
		_, after, both := strings.Cut(strings.TrimSpace(value.text), " ")
		if !both {
			after = value.text
		}
		plain = secrets.Plain(after)
	case strings.EqualFold(name, "Cookie"):
		for crumb := range strings.SplitSeq(value.text, ";") {
			_, after, _ := strings.Cut(crumb, "=")
			plain = plain || secrets.Plain(after)
		}
	case n.get("type").string() == "secret":
		plain = secrets.Plain(value.text)
	default:
		plain = secrets.Of(name).Holds(value.text)
	}
	if !plain {
		return
	}
	p.leak(value, append(way, named("value")), name)
}

// auth is {"type":"basic","basic":[{"key":"password","value":"…"}]}, in which every value
// of a secret member counts, or {"basic":{"password":"…"}} of older collections.
func (p *postman) auth(n *node, way []step) {
	for _, m := range n.members {
		switch m.value.kind {
		case list:
			for i, item := range m.value.members {
				key, value := item.value.get("key").string(), item.value.get("value")
				if authSecrets[strings.ToLower(key)] && value != nil && value.kind == text && secrets.Plain(value.text) {
					p.leak(value, append(slices.Clone(way), named(m.name), step{index: i}, named("value")), key)
				}
			}
		case object:
			for _, inner := range m.value.members {
				if authSecrets[strings.ToLower(inner.name)] && inner.value.kind == text && secrets.Plain(inner.value.text) {
					p.leak(inner.value, append(slices.Clone(way), named(m.name), named(inner.name)), inner.name)
				}
			}
		}
	}
}

// authSecrets are the members of kinds of authentication that are secret.
var authSecrets = map[string]bool{
	"password": true, "token": true, "value": true, "accesstoken": true, "refreshtoken": true, "clientsecret": true, "secretkey": true, "consumersecret": true,
	"tokensecret": true, "authkey": true, "clienttoken": true, "sessiontoken": true, "secret": true, "privatekey": true, "accesskey": true,
}

func (p *postman) leak(n *node, way []step, name string) {
	p.add(&rules.collectionSecret, n.line, n.column, pointerOf(way...), report.Text{
		En: fmt.Sprintf("A secret in plain text (%s); keep it in a variable of the environment, such as {{token}}, and change it.", clip(name, 60)),
		Zh: fmt.Sprintf("出现明文凭据（%s），请放入环境变量（如 {{token}}），并更换该凭据。", clip(name, 60))})
}

// body looks into a text that is JSON, as bodies of requests are.
func (p *postman) body(n *node, way []step) {
	if begin := strings.TrimLeft(n.text, " \t\r\n"); begin == "" || begin[0] != '{' && begin[0] != '[' {
		return
	}
	t, err := parseJSON(p.ctx, n.text, p.limits)
	if err != nil {
		return // a template, mostly
	}
	p.work(len(n.text) / 16)
	if name := secretMember(t.root); name != "" {
		p.leak(n, way, name)
	}
}

// secretMember names the first member that holds a secret, or returns "".
func secretMember(n *node) string {
	for _, m := range n.members {
		if m.value.kind == text && secrets.Of(m.name).Holds(m.value.text) {
			return m.name
		}
		if name := secretMember(m.value); name != "" {
			return name
		}
	}
	return ""
}

// tokens finds credentials that are known by their form, anywhere.
func (p *postman) tokens(n *node, way []step) {
	for f := range secrets.In(n.text, secrets.Forms) {
		if f.What != secrets.InURL { // addresses are looked at by themselves
			p.leak(n, way, f.Vendor)
			return
		}
	}
}

// address takes note of a host, and finds a password in front of it.
func (p *postman) address(n *node, way []step) {
	if n.kind == object {
		return // its member raw is looked at by itself
	}
	address := n.string()
	if _, query, ok := strings.Cut(address, "?"); ok && way[len(way)-1].name != "raw" { // beside raw the query stands in parts
		for pair := range strings.SplitSeq(query, "&") {
			if name, value, ok := strings.Cut(pair, "="); ok && secrets.Of(name).Holds(value) {
				p.leak(n, way, name)
				break
			}
		}
	}
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok || strings.ContainsAny(scheme, "{}") || rest == "" {
		return
	}
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		if _, password, ok := strings.Cut(rest[:at], ":"); ok && secrets.Plain(password) {
			p.leak(n, way, "URL")
		}
	}
	host := hostOf(address)
	if host == "" || strings.ContainsAny(host, "{}:") || slices.Contains(p.settings.HTTPHosts, host) {
		return
	}
	use := p.hosts[host]
	if use == nil {
		if len(p.order) == 1000 {
			return
		}
		use = &hostUse{n: n, pointer: pointerOf(way...)}
		p.hosts[host] = use
		p.order = append(p.order, host)
	}
	use.count++
}
