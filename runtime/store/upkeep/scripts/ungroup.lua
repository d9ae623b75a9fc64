-- Drop the consumer group of a function from a stream that it does not read any
-- more, once nothing is pending and no run of any version may wait there: the
-- stream is kept for as long as a group needs it. Where the group stood is kept for
-- as long as the stream: if the function reads it again it goes on there.
-- KEYS: stream, reads, waits, where groups stood. ARGV: function, event type, force ('1': the function is deleted).
-- Returns 1 when the group is gone.
if ARGV[3] ~= '1' then
  for _, field in ipairs(redis.call('HKEYS', KEYS[3])) do
    if string.sub(field, 1, string.len(ARGV[2]) + 1) == ARGV[2] .. ' ' then return 0 end
  end
  local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1])
  if not pending.err and pending[1] > 0 then return 0 end
  if pending.err and not string.find(pending.err, 'NOGROUP', 1, true) then return pending end
end
if redis.call('EXISTS', KEYS[1]) == 1 then
  for _, g in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    local info = {}
    for i = 1, #g, 2 do info[g[i]] = g[i + 1] end
    if info['name'] == ARGV[1] then
      -- In this order: a full Redis refuses what needs room before what gives some.
      redis.call('XGROUP', 'DESTROY', KEYS[1], ARGV[1])
      redis.call('HSET', KEYS[4], ARGV[1], info['last-delivered-id'])
    end
  end
end
redis.call('SREM', KEYS[2], ARGV[2])
return 1
