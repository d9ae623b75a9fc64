-- Remove a runner once nothing is pending for it. Removing a consumer drops
-- its pending entries, so it comes last and only when there are none.
-- KEYS: runners, streams... ARGV: group, runner. Returns 1 when it is gone.
for i = 2, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 1 and #redis.call('XPENDING', KEYS[i], ARGV[1], '-', '+', 1, ARGV[2]) > 0 then return 0 end
end
for i = 2, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 1 then redis.call('XGROUP', 'DELCONSUMER', KEYS[i], ARGV[1], ARGV[2]) end
end
redis.call('ZREM', KEYS[1], ARGV[2])
return 1
