// Package factgate holds the public promise of the API: its GraphQL schema.
package factgate

import _ "embed"

// Schema is schema.graphql, which clients may rely on: fields are added, never
// taken away or given another meaning.
//
//go:embed schema.graphql
var Schema string
