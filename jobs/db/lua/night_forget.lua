-- ARGV: prefix, id, the tenant or ''. Remove all that is kept of a night.
local prefix, id, tenant = unpack(ARGV)
for _, key in ipairs(keys_of_night(prefix, id)) do
  redis.call('DEL', key)
end
for _, index in ipairs({prefix .. 'nights', prefix .. 'open_nights', prefix .. 'nights_of:' .. tenant}) do
  redis.call('ZREM', index, id)
end
