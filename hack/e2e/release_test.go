package e2e_test

import (
	. "github.com/onsi/ginkgo/v2"
)

// uninstall takes everything away that a release and its functions made.
func uninstall() {
	GinkgoHelper()
}
