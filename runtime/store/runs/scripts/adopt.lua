-- Take over parked runs that wait for code which this runner has. Those that
-- other runners lack the code of do not go through the inbox, where they would
-- read them. A runner that is dead itself takes none: nobody would look for them.
-- KEYS: runners, leases, lacking, timers, stream of adopted runs, then per run its journal.
-- ARGV: group, runner, lease ms, then per run: run id, the code that it waits for.
-- Returns {{entry id, fields}, ...}.
local call = redis.call
local t = call('TIME')
local last = call('ZSCORE', KEYS[1], ARGV[2])
local lease = tonumber(call('HGET', KEYS[2], ARGV[2]) or ARGV[3])
if not last or tonumber(last) < t[1] * 1000 + math.floor(t[2] / 1000) - lease then return {} end
local taken = 0
for i = 6, #KEYS do
  local run, code = ARGV[2 * i - 8], ARGV[2 * i - 7]
  if call('HGET', KEYS[3], run) == code then
    call('HDEL', KEYS[3], run)
    if call('HGET', KEYS[i], '@o') == '' and call('HDEL', KEYS[i], '@lacks') == 1 then
      if taken == 0 then redis.pcall('XGROUP', 'CREATE', KEYS[5], ARGV[1], '0', 'MKSTREAM') end
      call('ZREM', KEYS[4], run)
      call('XADD', KEYS[5], '*', 'run', run)
      taken = taken + 1
    end
  end
end
if taken == 0 then return {} end
-- Nothing stays unread in this stream: what is read are the runs of this call.
return call('XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', taken, 'STREAMS', KEYS[5], '>')[1][2]
