package http

import wildout "github.com/wildout/wildout/runtime"

// Name is the name that manifests use.
const Name = "http.request"

// Register adds http.request, made by c, to reg.
func Register(reg *wildout.Registry, c *Client) { wildout.Add(reg, Name, c.Do) }
