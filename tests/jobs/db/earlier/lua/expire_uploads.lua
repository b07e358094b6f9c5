-- ARGV: prefix, most. Forget uploads whose time is over; their files are collected. Returns their number.
local prefix, most = unpack(ARGV)
local due = redis.call('ZRANGEBYSCORE', prefix .. 'uploads', '-inf', whole(now_us()), 'LIMIT', 0, most)
for _, member in ipairs(due) do
  local owner, digest = string.match(member, '^(%x+):(%x+)$')
  drop_upload(prefix, owner, digest)
end
return #due
