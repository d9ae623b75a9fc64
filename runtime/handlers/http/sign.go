package http

import (
	"crypto/rand"
	"fmt"
	nethttp "net/http"
	"strconv"
	"strings"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	wildout "github.com/wildout/wildout/runtime"
)

// sign adds the headers of Standard Webhooks, with one signature per secret:
// while a secret rotates, the receiver finds the one it knows.
func (c *Client) sign(req *nethttp.Request, r Request) error {
	name := r.Sign
	payload, err := r.payload()
	if err != nil {
		return err
	}
	secrets, err := c.opts.Secrets(name)
	if err != nil {
		return fmt.Errorf("read the signing secret %q: %w", name, err)
	}
	if len(secrets) == 0 {
		return fmt.Errorf("there is no signing secret %q: configure it on the runner, or correct sign", name)
	}
	// The same on every attempt, by which a receiver drops a repeated one.
	id := wildout.Info(req.Context()).IdempotencyKey
	if id == "" {
		id = rand.Text()
	}
	now := c.opts.Now()
	signatures := make([]string, 0, len(secrets))
	for i, secret := range secrets {
		signer, err := webhooks.NewWebhook(secret)
		if err != nil {
			return fmt.Errorf("signing secret %q, number %d, is not base64 after whsec_", name, i+1)
		}
		signature, err := signer.Sign(id, now, payload)
		if err != nil {
			return fmt.Errorf("sign with secret %q: %w", name, err)
		}
		signatures = append(signatures, signature)
	}
	req.Header.Set(webhooks.HeaderWebhookID, id)
	req.Header.Set(webhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	req.Header.Set(webhooks.HeaderWebhookSignature, strings.Join(signatures, " "))
	return nil
}
