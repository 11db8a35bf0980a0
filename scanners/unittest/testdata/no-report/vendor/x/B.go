package x

// Enough to be worth testing, is it not? It is vendored, though, and so not of this package.
var B = 1
