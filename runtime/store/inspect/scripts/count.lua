-- Count what comes after entries of streams, without what is in it.
-- KEYS: streams. ARGV: how many are enough, then per stream: the entry.
-- Returns per stream {count, id of the first; '' where there is none}.
local out, most = {}, tonumber(ARGV[1])
for k = 1, #KEYS do
  local count, first, after = 0, '', ARGV[k + 1]
  repeat -- a page at a time: an event may have a megabyte
    local page = redis.call('XRANGE', KEYS[k], '(' .. after, '+', 'COUNT', math.min(most - count, 100))
    if #page > 0 then
      if count == 0 then first = page[1][1] end
      count = count + #page
      after = page[#page][1]
    end
  until #page < 100 or count >= most
  out[k] = {count, first}
end
return out
