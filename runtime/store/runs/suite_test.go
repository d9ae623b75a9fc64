package runs_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/wildout/wildout/internal/servicetest"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/runs"
	"github.com/wildout/wildout/runtime/worker"
	"github.com/wildout/wildout/runtime/worker/storetest"
)

func TestRuns(t *testing.T) {
	RegisterFailHandler(Fail)
	// A busy machine makes a test slow, not red.
	SetDefaultEventuallyTimeout(30 * time.Second)
	RunSpecs(t, "runs")
}

var (
	plain      *servicetest.Redis
	guarded    *servicetest.Redis
	cluster    *servicetest.Redis
	authority  *servicetest.Authority
	namespaces atomic.Int64
)

var _ = BeforeSuite(func() {
	t := GinkgoTB()
	plain = servicetest.StartRedis(t)
	authority = servicetest.NewAuthority(t, "storetest")
	guarded = servicetest.StartRedis(t, servicetest.TLS(t, authority), servicetest.Password("secret"), servicetest.AppendFsync("always"))
	cluster = servicetest.StartRedis(t, servicetest.Cluster())
})

// open opens a namespace of its own.
func open(o store.Options) storetest.Site {
	GinkgoHelper()
	o.Namespace = fmt.Sprint("n", namespaces.Add(1))
	c, err := store.Open(o)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(c.Close)
	return storetest.Site{Store: worker.OnRedis(runs.New(c)), Conn: c}
}

var _ = storetest.Holds("Redis", func() storetest.Site { return open(store.Options{URL: plain.URL()}) })

var _ = storetest.Holds("Redis with TLS and a password, every write on disk", func() storetest.Site {
	return open(store.Options{URL: guarded.URL(), CA: authority.CA})
})

var _ = storetest.Holds("a cluster of Redis", func() storetest.Site {
	return open(store.Options{URL: cluster.URL() + "," + cluster.Addr})
})

var _ = storetest.Holds("Redis behind a network that loses answers", func() storetest.Site {
	return open(store.Options{URL: plain.URL(), Dial: dialLossy})
})

// answers counts those that have come over connections that lose some.
var answers atomic.Int64

// dialLossy connects over a network that loses every seventh answer, and the
// connection with it: Redis has done what it was asked.
func dialLossy(ctx context.Context, network, address string, _ *tls.Config) (net.Conn, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, network, address)
	return lossy{c}, err
}

type lossy struct{ net.Conn }

// Read implements net.Conn.
func (l lossy) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	if err == nil && answers.Add(1)%7 == 0 {
		_ = l.Close()
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}
