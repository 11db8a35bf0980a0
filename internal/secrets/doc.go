// Package secrets tells passwords, keys and tokens that stand in plain text from
// what people write in their place. It knows three things:
//
//	what a name says:    Of("db_password") is a Password, Of("page_token") is nothing
//	what a value can be: Plain("Sum3er-Rain"), but not Plain("${pw}"), "******", "changeme"
//	what a text holds:   In(text, Shell) finds password=…, //user:…@host, ids of cloud keys
//
// and Masked(text) is a text without all that may be one, to be shown to others.
//
// In doubt nothing is found: words, references to a store, paths, digests in the
// place of passwords, and values in another script than Latin are none. A text takes
// time in proportion to its length. What is found is a place and never the value, so
// that no message can repeat it.
package secrets

// Version changes whenever something else may be found: it is part of the digests of
// the rules that are made of this package.
const Version = "1"
