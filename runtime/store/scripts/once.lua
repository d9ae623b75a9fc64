-- Take an idempotency key for a run.
-- KEYS: once. ARGV: run id, ttl ms. Returns '' when it is the run's, else the holder: run id, and after a space its outcome.
local holder = redis.call('GET', KEYS[1])
if not holder then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return ''
end
if string.sub(holder, 1, string.len(ARGV[1])) == ARGV[1] then return '' end
return holder
