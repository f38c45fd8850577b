// What a server in Go sees of a request: the target as it came, the decoded path, and where ServeMux routes it.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
)

// Said before ServeMux has its turn, which answers by itself where it would clean a path.
func seen(next http.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		identity := "no"
		if r.Header.Get("Authorization") != "" {
			identity = "yes"
		}
		w.Header().Set("X-Target", "["+r.RequestURI+"]")
		w.Header().Set("X-Path", "["+r.URL.Path+"]")
		w.Header().Set("X-Identity", identity)
		next.ServeHTTP(w, r)
	}
}

func serve(place string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Place", place)
		io.WriteString(w, "ok")
	}
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/public", serve("public"))
	mux.HandleFunc("/public/", serve("public"))
	mux.HandleFunc("/", serve("other"))
	fmt.Printf("{\"address\":%q}\n", listener.Addr().String())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	panic((&http.Server{Handler: seen(mux), MaxHeaderBytes: 1 << 17}).Serve(listener))
}
