// Package openapi checks descriptions of HTTP interfaces. Its sub-task type is API.
//
//	OpenAPI 3.x and Swagger 2, in JSON or YAML
//	data services of WeData, as its API gives them (PathUrl and RequestParam)
//	collections of Postman: secrets and absolute hosts only
//
// A file is recognised by what it holds (recognise.go). It becomes a tree of nodes
// that know their lines (tree.go; JSON by json.go, YAML by yaml.go), which is walked
// once along the shapes that the specification gives its objects (shape.go, walk.go);
// that finds what is wrong with the document as a document. What concerns paths and
// operations comes after it (paths.go). Data services and collections have their own
// files.
//
// It promises to fetch nothing: a reference that leads out of its document is not
// followed, and coverage says so. References are followed for so many steps, so
// circles end. Aliases of YAML are shared, never copied, and each node is looked at
// once for each shape, so a small file cannot become a large one. What goes over
// [Limits] is degraded coverage.
//
// Values of secrets never leave the package: messages and anchors name places only.
package openapi
