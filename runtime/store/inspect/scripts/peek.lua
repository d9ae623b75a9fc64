-- Read the newest entries of streams without their large parts: an event may
-- have a megabyte, and a list shows its beginning.
-- KEYS: streams. ARGV: bytes of data to keep, then per stream: newest, oldest (as in XREVRANGE), count.
-- Returns per stream {{entry id, field, value, ..., 'bytes', size of data}, ...}, the newest first.
local out, keep = {}, tonumber(ARGV[1])
for k = 1, #KEYS do
  local list = {}
  for i, entry in ipairs(redis.call('XREVRANGE', KEYS[k], ARGV[3 * k - 1], ARGV[3 * k], 'COUNT', ARGV[3 * k + 1])) do
    local row, fields, size = {entry[1]}, entry[2], 0
    for f = 1, #fields, 2 do
      local value = fields[f + 1]
      if fields[f] == 'data' or fields[f] == 'event' then
        size = string.len(value)
        value = string.sub(value, 1, keep)
      end
      row[#row + 1] = fields[f]
      row[#row + 1] = value
    end
    row[#row + 1] = 'bytes'
    row[#row + 1] = tostring(size)
    list[i] = row
  end
  out[k] = list
end
return out
