// Package digraph finds the circles of a directed graph. A graph is given by its
// edges: next[i] lists the nodes to which node i leads. Both functions take time and
// memory linear in nodes and edges, whatever the shape of the graph.
package digraph

import "slices"

// Components returns the strongly connected components of more than one node,
// each sorted, in the order of their smallest nodes: Tarjan's algorithm with a
// stack of its own, since a chain of jobs may be as long as a sheet.
func Components(next [][]int) [][]int {
	const unseen = 0
	var (
		order   = make([]int, len(next)) // from 1, when first seen
		low     = make([]int, len(next))
		open    = make([]bool, len(next))
		stack   []int
		found   [][]int
		counter int
	)
	type frame struct{ node, edge int }
	for root := range next {
		if order[root] != unseen {
			continue
		}
		path := []frame{{node: root}}
		for len(path) > 0 {
			top := &path[len(path)-1]
			node := top.node
			if top.edge == 0 && order[node] == unseen {
				counter++
				order[node], low[node], open[node] = counter, counter, true
				stack = append(stack, node)
			}
			if top.edge < len(next[node]) {
				to := next[node][top.edge]
				top.edge++
				if order[to] == unseen {
					path = append(path, frame{node: to})
				} else if open[to] {
					low[node] = min(low[node], order[to])
				}
				continue
			}
			path = path[:len(path)-1]
			if len(path) > 0 {
				parent := path[len(path)-1].node
				low[parent] = min(low[parent], low[node])
			}
			if low[node] == order[node] {
				at := len(stack) - 1
				for ; stack[at] != node; at-- {
					open[stack[at]] = false
				}
				open[node] = false
				if len(stack)-at > 1 {
					component := slices.Clone(stack[at:])
					slices.Sort(component)
					found = append(found, component)
				}
				stack = stack[:at]
			}
		}
	}
	slices.SortFunc(found, func(a, b []int) int { return a[0] - b[0] })
	return found
}

// ShortestCycle returns a shortest way from the component's first node back to
// it; the first node stands at its beginning only.
func ShortestCycle(next [][]int, component []int) []int {
	start := component[0]
	cameFrom := map[int]int{}
	queue := []int{start}
	for len(queue) > 0 {
		node := queue[0]
		queue = queue[1:]
		for _, to := range next[node] {
			if to == start {
				way := []int{node}
				for node != start {
					node = cameFrom[node]
					way = append(way, node)
				}
				slices.Reverse(way)
				return way
			}
			if _, inside := slices.BinarySearch(component, to); !inside {
				continue
			}
			if _, seen := cameFrom[to]; !seen {
				cameFrom[to] = node
				queue = append(queue, to)
			}
		}
	}
	return component
}
