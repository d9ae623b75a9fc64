package email

import wildout "github.com/wildout/wildout/runtime"

// Name is the name that manifests use.
const Name = "email.send"

// Register adds email.send, sent by m, to reg.
func Register(reg *wildout.Registry, m *Mailer) { wildout.Add(reg, Name, m.Send) }
