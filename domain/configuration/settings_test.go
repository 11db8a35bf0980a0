package configuration_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/configuration"
)

func TestSettingsInJSON(t *testing.T) {
	for text, want := range map[string]string{
		"enabled: true":                       ``,
		"settings:":                           ``,
		"settings: {}":                        `{}`,
		"settings: {a: [1, 2.5, x, null]}":    `{"a":[1,2.5,"x",null]}`,
		"settings: {a: &x {1: b}, c: *x}":     `{"a":{"1":"b"},"c":{"1":"b"}}`,
		"settings: {day: 2026-11-30, y: on}":  `{"day":"2026-11-30T00:00:00Z","y":"on"}`,
		"settings: {a: {true: 1, b: {2: 3}}}": `{"a":{"true":1,"b":{"2":3}}}`,
	} {
		d, err := configuration.Parse(text)
		require.NoError(t, err, text)
		got, err := d.SettingsJSON()
		require.NoError(t, err, text)
		if want == "" {
			require.Nil(t, got, text)
			continue
		}
		require.JSONEq(t, want, string(got), text)
	}
	for text, says := range map[string]string{
		"settings: {a: .nan}": "line 1, column 11: the settings hold what JSON has no word for",
		"settings:\n  a: &a " + strings.Repeat("x", 50_000) + "\n  b: [" + strings.Repeat("*a, ", 1000) + "*a]": "too large with their aliases written out",
	} {
		d, err := configuration.Parse(text)
		require.NoError(t, err)
		_, err = d.SettingsJSON()
		require.Equal(t, "configuration.invalid", domain.RuleOf(err))
		require.ErrorContains(t, err, says)
	}
}

// Whatever settings Parse takes are JSON of bounded size, or refused in words.
func FuzzSettingsJSON(f *testing.F) {
	f.Add("settings: {a: [1, .inf], b: &x {2: c}, d: *x}")
	f.Add("settings: {a: !!binary aGk=, b: 2026-01-01, c: 0x1f}")
	f.Fuzz(func(t *testing.T, text string) {
		d, err := configuration.Parse(text)
		if err != nil {
			return
		}
		got, err := d.SettingsJSON()
		if err != nil {
			require.Equal(t, domain.Invalid, domain.KindOf(err))
			return
		}
		require.True(t, got == nil || json.Valid(got))
		require.Less(t, len(got), 4<<20)
	})
}
