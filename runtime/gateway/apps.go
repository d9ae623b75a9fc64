package gateway

import "net/http"

// refuseApp answers an application of an Inngest SDK that registers itself
// here, in the form that its client reads and shows.
func refuseApp(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusNotFound, map[string]any{"status": http.StatusNotFound,
		"error": "wildout does not run the functions of applications yet: it takes their events at /e/KEY, and functions are manifests"})
}
