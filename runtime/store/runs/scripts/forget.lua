-- Remove a runner once nothing is pending for it. Removing a consumer drops
-- its pending entries, so it comes last and only when there are none.
-- KEYS: runners, leases, streams... ARGV: group, runner. Returns 1 when it is gone.
local groups = {}
for i = 3, #KEYS do
  local pending = redis.pcall('XPENDING', KEYS[i], ARGV[1], '-', '+', 1, ARGV[2])
  if not pending.err then
    if #pending > 0 then return 0 end
    groups[#groups + 1] = KEYS[i]
  elseif not string.find(pending.err, 'NOGROUP', 1, true) then
    return pending
  end
end
for _, stream in ipairs(groups) do redis.call('XGROUP', 'DELCONSUMER', stream, ARGV[1], ARGV[2]) end
redis.call('ZREM', KEYS[1], ARGV[2])
redis.call('HDEL', KEYS[2], ARGV[2])
return 1
