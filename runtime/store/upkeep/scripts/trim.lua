-- Shorten a stream to its retention. To look at all groups and to cut are one
-- step: in between a group could read on, and what it read would count for
-- nothing. What a group has not read, or has not finished with, stays.
-- KEYS: stream. ARGV: ms to keep, how many more may go since the stream is too large (0: none).
-- Returns how many entries went; whole nodes of the stream go at once.
local call = redis.call
local groups = redis.pcall('XINFO', 'GROUPS', KEYS[1])
if groups.err then return 0 end -- there is no such stream

local function parts(id) -- the Redis that is built into dev leaves out a sequence of 0
  local ms, seq = string.match(id, '^(%d+)-?(%d*)$')
  if seq == '' then seq = '0' end
  return tonumber(ms), seq
end

local function less(a, b)
  local ams, aseq = parts(a)
  local bms, bseq = parts(b)
  if ams ~= bms then return ams < bms end
  if string.len(aseq) ~= string.len(bseq) then return string.len(aseq) < string.len(bseq) end
  return aseq < bseq
end

local needed
for _, g in ipairs(groups) do
  local info = {}
  for i = 1, #g, 2 do info[g[i]] = g[i + 1] end
  local oldest = info['last-delivered-id']
  if tonumber(info['pending']) > 0 then oldest = call('XPENDING', KEYS[1], info['name'])[2] end
  if not needed or less(oldest, needed) then needed = oldest end
end

local t = call('TIME')
local cut = string.format('%d', t[1] * 1000 + math.floor(t[2] / 1000) - tonumber(ARGV[1])) .. '-0'
if needed and less(needed, cut) then cut = needed end
local gone = call('XTRIM', KEYS[1], 'MINID', '~', cut)
local more = tonumber(ARGV[2]) - gone
if more > 0 then
  if not needed then -- nobody reads it: all but the newest may go
    local newest = call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
    if not newest[1] then return gone end
    needed = newest[1][1]
  end
  gone = gone + call('XTRIM', KEYS[1], 'MINID', '~', needed, 'LIMIT', more)
end
return gone
