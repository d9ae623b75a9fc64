-- Take over a parked run for the entry that names it, of the inbox or of those adopted. A run has one
-- owner: another entry for a run that is owned is stale, and dropped.
-- A runner that was given the entry no more takes nothing: the run would be
-- owned by an entry that nobody has, and never wake.
-- KEYS: stream of the entry, journal, timers, cancels, lacking. ARGV: group, entry id, run id, runner.
-- Returns the journal as a flat list, with the request to cancel the run, or false.
if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[2], ARGV[2], 1, ARGV[4]) == 0 then
  return redis.error_reply('FENCED the entry has another owner')
end
local owner = redis.call('HGET', KEYS[2], '@o')
if owner == '' or owner == ARGV[2] then
  redis.call('ZREM', KEYS[3], ARGV[3]) -- first, so that a full Redis lets the rest happen: see beat
  redis.call('HSET', KEYS[2], '@o', ARGV[2])
  if redis.call('HDEL', KEYS[2], '@lacks') == 1 then redis.call('HDEL', KEYS[5], ARGV[3]) end
  local journal = redis.call('HGETALL', KEYS[2])
  local asked = redis.call('HGET', KEYS[4], ARGV[3])
  if asked then
    journal[#journal + 1] = '@cancel'
    journal[#journal + 1] = asked
  end
  return journal
end
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
redis.call('XDEL', KEYS[1], ARGV[2])
return false
