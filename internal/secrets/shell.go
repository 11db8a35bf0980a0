package secrets

import "strings"

// client is the program whose arguments are read, of those that take a password in a
// way of their own; "" is any other.
type client string

// clients by the word that starts them.
var clients = [...]client{"mysql", "mysqldump", "mysqladmin", "mysqlimport", "mariadb", "obclient", "beeline", "sqlplus", "curl"}

// option looks at the word that begins at i, if one does: --password x of any
// program, mysql -px, beeline -p x, curl -u user:x and sqlplus user/x.
func (p *client) option(s string, i int) (f Found, end int) {
	switch s[i] {
	case '|', ';', '&':
		*p = ""
		return Found{}, 0
	case '\n':
		if i == 0 || s[i-1] != '\\' {
			*p = ""
		}
		return Found{}, 0
	}
	if i > 0 && !beforeWord(s[i-1]) {
		return Found{}, 0
	}
	if s[i] != '-' {
		if *p == "sqlplus" {
			return p.logon(s, i)
		}
		for _, c := range clients {
			if rest, ok := strings.CutPrefix(s[i:], string(c)); ok && rest != "" && blank(rest[0]) {
				*p = c
				break
			}
		}
		return Found{}, 0
	}
	stop := i
	for stop < len(s) && stop-i < longestName && nameByte(s[stop]) {
		stop++
	}
	name := s[i:stop]
	argument := stop
	for argument < len(s) && blank(s[argument]) && argument-stop < 10 {
		argument++
	}
	apart := argument > stop && argument < len(s) && s[argument] != '-'
	switch {
	case strings.HasPrefix(name, "--") && apart && Of(name) != None:
		kind := Of(name)
		return argumentOf(s, argument, func(value string) bool { return kind.Holds(value) && unlikeWord(kind, value) })
	case strings.HasPrefix(name, "-p") && !strings.HasPrefix(name, "--") && *p != "" && *p != "beeline" && *p != "sqlplus" && *p != "curl":
		return argumentOf(s, i+len("-p"), Plain)
	case name == "-p" && *p == "beeline" && apart:
		return argumentOf(s, argument, Plain)
	case (name == "-u" || name == "--user") && *p == "curl" && apart:
		f, end := argumentOf(s, argument, func(value string) bool {
			_, password, ok := strings.Cut(value, ":")
			return ok && Plain(password)
		})
		if f.End > f.Start {
			f.Start += strings.IndexByte(s[f.Start:f.End], ':') + 1
		}
		return f, end
	}
	return Found{}, 0
}

func beforeWord(c byte) bool {
	switch c {
	case ' ', '\t', '\r', '\n', ';', '|', '&', '(', '`', '"', '\'', '/':
		return true
	}
	return false
}

// logon looks at the first argument of sqlplus: user/password@database.
func (p *client) logon(s string, i int) (f Found, end int) {
	if blank(s[i]) {
		return Found{}, 0
	}
	*p = ""
	word := s[i:endOfWord(s, i)]
	slash := strings.IndexByte(word, '/')
	if slash <= 0 {
		return Found{}, 0
	}
	password := word[slash+1:]
	if at := strings.IndexByte(password, '@'); at >= 0 {
		password = password[:at]
	}
	if !Plain(password) {
		return Found{}, 0
	}
	return Found{Start: i + slash + 1, End: i + slash + 1 + len(password)}, i + len(word)
}

// argumentOf judges the word at i, which may stand in quotes.
func argumentOf(s string, i int, holds func(string) bool) (f Found, end int) {
	if i >= len(s) {
		return Found{}, 0
	}
	end = endOfWord(s, i)
	if s[i] == '"' || s[i] == '\'' {
		const far = 300
		n := strings.IndexByte(s[i+1:min(len(s), i+far)], s[i])
		if n < 0 {
			return Found{}, 0
		}
		i++
		end = i + n
	}
	if !holds(s[i:end]) {
		return Found{}, 0
	}
	return Found{Start: i, End: end}, end
}
