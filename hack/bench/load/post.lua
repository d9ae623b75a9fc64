-- The script for wrk: POST one body again and again. Arguments: pause between
-- the requests of a connection in ms, then the body, then headers, name and value.
local pause = 0

function init(args)
  wrk.method = "POST"
  pause = tonumber(args[1])
  wrk.body = args[2]
  wrk.headers["Content-Type"] = "application/json"
  for i = 3, #args, 2 do wrk.headers[args[i]] = args[i + 1] end
end

-- wrk asks before each request when this is there; the connections spread over the pause.
function delay() return pause > 0 and math.random(0, 2 * pause) or 0 end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format('RESULT {"requests":%d,"micros":%d,"refused":%d,"broken":%d,"p50":%d,"p99":%d}\n',
    summary.requests, summary.duration, e.status, e.connect + e.read + e.write + e.timeout, latency:percentile(50), latency:percentile(99)))
end
