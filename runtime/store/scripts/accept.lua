-- Publish the events of one request, all or none: when Redis is full, the first write fails.
-- KEYS: the key of the seed if there is one, then for each event its stream and, if it has an id, the key of the id.
-- ARGV: ttl of the seed in ms (0: no seed), ttl of ids in ms, then for each event: number of words, words (field, value, ...);
-- the number is negative for an event with an id, of which the first is kept.
-- Returns the entries: of a request with a known seed those of the first one, of an event with a known id that of the first one.
local seed_ttl, id_ttl = tonumber(ARGV[1]), ARGV[2]
local key, arg, entries = 1, 3, {}
if seed_ttl > 0 then
  local known = redis.call('GET', KEYS[1])
  if known then
    for entry in string.gmatch(known, '%S+') do entries[#entries + 1] = entry end
    return entries
  end
  key = 2
end
while arg <= #ARGV do
  local stream, words = KEYS[key], tonumber(ARGV[arg])
  local entry
  if words > 0 then
    entry = redis.call('XADD', stream, '*', unpack(ARGV, arg + 1, arg + words))
    key = key + 1
  else
    words = -words
    local id = KEYS[key + 1]
    entry = redis.call('GET', id)
    if not entry then
      entry = redis.call('XADD', stream, '*', unpack(ARGV, arg + 1, arg + words))
      redis.call('SET', id, entry, 'PX', id_ttl)
    end
    key = key + 2
  end
  entries[#entries + 1] = entry
  arg = arg + 1 + words
end
if seed_ttl > 0 then
  redis.call('SET', KEYS[1], table.concat(entries, ' '), 'PX', seed_ttl)
end
return entries
