package otlp

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// The numbers of the fields that are read of answers.
const (
	partialSuccess = 1 // of ExportTraceServiceResponse
	rejectedSpans  = 1 // of ExportTracePartialSuccess
	errorMessage   = 2 // of ExportTracePartialSuccess
	message        = 2 // of google.rpc.Status
)

// refusal returns an error when the collector took the request and not all of
// its spans. The bytes are an ExportTraceServiceResponse.
func refusal(answer []byte) error {
	part := lastField(answer, partialSuccess).bytes
	rejected := lastField(part, rejectedSpans).number
	words := lastField(part, errorMessage).bytes
	if rejected == 0 && len(words) == 0 {
		return nil
	}
	return fmt.Errorf("the collector rejects %d spans: %.500q", rejected, words)
}

// statusMessage returns the message of a google.rpc.Status.
func statusMessage(answer []byte) string { return string(lastField(answer, message).bytes) }

// field is the value of a field: a number, or bytes.
type field struct {
	number uint64
	bytes  []byte
}

// lastField returns the last value of a field, as protobuf has it; zero when there is
// none, or from where the bytes are no protobuf.
func lastField(text []byte, wanted protowire.Number) (found field) {
	for len(text) > 0 {
		number, kind, n := protowire.ConsumeTag(text)
		if n < 0 {
			return found
		}
		text = text[n:]
		size := protowire.ConsumeFieldValue(number, kind, text)
		if size < 0 {
			return found
		}
		if number == wanted {
			switch kind {
			case protowire.VarintType:
				found.number, _ = protowire.ConsumeVarint(text)
			case protowire.BytesType:
				found.bytes, _ = protowire.ConsumeBytes(text)
			default: // not a kind of field that we read
			}
		}
		text = text[size:]
	}
	return found
}
