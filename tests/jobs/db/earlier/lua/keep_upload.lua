-- ARGV: prefix, owner, digest, 'expect' or 'keep', place of the file, microseconds to keep it, most uploads of an owner,
-- most bytes of an owner, most bytes of all, bytes, width, height, name. Before the file is stored it is expected: it is
-- collected if it is not kept within minutes. Returns 'expected' or 'kept'; 'known' if the owner has the picture, whose
-- life begins anew; or the limit that it would exceed: 'many', 'heavy' or 'full'.
local prefix, owner, digest, step, place, ttl, most, most_bytes, most_of_all, bytes, width, height, name = unpack(ARGV)
local upload = prefix .. 'upload:' .. owner .. ':' .. digest
local mine = prefix .. 'uploads_of:' .. owner
local now = now_us()
local expires = whole(now + ttl)
local known = redis.call('EXISTS', upload) == 1
if not known then
  local held, all = unpack(redis.call('HMGET', prefix .. 'upload_bytes', owner, 'all'))
  if redis.call('ZCARD', mine) >= tonumber(most) then
    return 'many'
  elseif (held or 0) + bytes > tonumber(most_bytes) then
    return 'heavy'
  elseif (all or 0) + bytes > tonumber(most_of_all) then
    return 'full'
  elseif step == 'expect' then
    collect_later(prefix, place)
    return 'expected'
  end
  redis.call('HSET', upload, 'place', place, 'bytes', bytes, 'width', width, 'height', height, 'name', name,
    'created_us', whole(now))
  redis.call('HINCRBY', prefix .. 'upload_bytes', owner, bytes)
  redis.call('HINCRBY', prefix .. 'upload_bytes', 'all', bytes)
  redis.call('ZREM', prefix .. 'orphans', place)
end
redis.call('HSET', upload, 'expires_us', expires)
redis.call('ZADD', mine, expires, digest)
redis.call('ZADD', prefix .. 'uploads', expires, owner .. ':' .. digest)
return known and 'known' or 'kept'
