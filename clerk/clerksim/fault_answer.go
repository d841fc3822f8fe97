package clerksim

import (
	"cmp"
	"net/http"
	"strconv"
	"time"
)

// edgeAnswer is the answer of a fault that strikes before Clerk proper.
func (x *request) edgeAnswer() *answer {
	switch x.fault.Kind {
	case Overload:
		return x.retryAfter(plain(http.StatusTooManyRequests, "Too Many Requests\n"))
	case EdgeBlock:
		return plain(http.StatusForbidden, "error code: 1010")
	case Unauthorized:
		return x.sim.keyInvalid()
	}
	return x.gateway()
}

// faultAnswer is the answer of a fault that strikes behind the limits.
func (x *request) faultAnswer() *answer {
	s, f := x.sim, x.fault
	switch f.Kind {
	case RefuseAfter:
		return x.refusal()
	case GatewayAfter:
		return x.gateway()
	case Throttle:
		a := s.throttled(time.Second, time.Now())
		a.header = http.Header{"Retry-After": {"1"}}
		return x.retryAfter(a)
	case Locked:
		return s.refuse(http.StatusConflict, codeLocked, "The resource is locked", "Another request is changing this resource. Please try again.", nil)
	case Redirect:
		a := plain(cmp.Or(f.Status, http.StatusTemporaryRedirect), "")
		a.header.Set("Location", "/v1/elsewhere")
		return a
	case Malformed:
		return &answer{status: http.StatusOK, raw: []byte(`{"object":"invitation","id":`), header: http.Header{"Content-Type": {"application/json"}}}
	case Empty:
		return &answer{status: http.StatusOK, raw: []byte{}, header: http.Header{"Content-Type": {"application/json"}}}
	}
	return x.retryAfter(s.serverError(cmp.Or(f.Status, http.StatusInternalServerError), f.Code))
}

// refusal is how Clerk refuses what it has done all the same.
func (x *request) refusal() *answer {
	status := cmp.Or(x.fault.Status, http.StatusUnprocessableEntity)
	code := map[int]string{
		http.StatusBadRequest: codeDuplicateRecord, http.StatusForbidden: codeNotAllowed, http.StatusUnprocessableEntity: codeIdentifierExists,
	}[status]
	return x.sim.refuse(status, cmp.Or(x.fault.Code, code, codeBodyInvalid), "is refused", "The request was refused by a simulated error.", nil)
}

func (x *request) gateway() *answer {
	status := cmp.Or(x.fault.Status, http.StatusBadGateway)
	page := "<html>\r\n<head><title>" + strconv.Itoa(status) + " " + http.StatusText(status) + "</title></head>\r\n<body></body>\r\n</html>\r\n"
	return x.retryAfter(&answer{status: status, raw: []byte(page), header: http.Header{"Content-Type": {"text/html"}}})
}

func (x *request) retryAfter(a *answer) *answer {
	if x.fault.RetryAfter != "" {
		if a.header == nil {
			a.header = make(http.Header)
		}
		a.header.Set("Retry-After", x.fault.RetryAfter)
	}
	return a
}

func plain(status int, text string) *answer {
	return &answer{status: status, raw: []byte(text), header: http.Header{"Content-Type": {"text/plain; charset=UTF-8"}}}
}

// shorten drops the last element of a list.
func shorten(a *answer) *answer {
	switch v := a.value.(type) {
	case []wireInvitation:
		a.value = v[:max(0, len(v)-1)]
	case *wireInvitationPage:
		v.Data = v.Data[:max(0, len(v.Data)-1)]
	}
	return a
}
