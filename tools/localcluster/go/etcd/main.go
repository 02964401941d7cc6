// Package main is etcd, as its authors' own main does it: that one cannot be built from its module
// alone, whose go.mod points at the modules beside it in their repository.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	etcdmain.Main(os.Args)
}
