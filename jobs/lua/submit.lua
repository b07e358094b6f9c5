-- ARGV: prefix, id, request, most waiting jobs, idempotency key or '', digest of the body, seconds to keep the key
local prefix, id, request, most, key, digest, ttl = unpack(ARGV)
if key ~= '' then
  local known = redis.call('HMGET', prefix .. 'idempotency:' .. key, 'id', 'digest')
  if known[1] then
    return {known[2] == digest and 'replayed' or 'conflict', known[1]}
  end
end
if redis.call('ZCARD', prefix .. 'status:queued') >= tonumber(most) then
  return {'full', ''}
end
local created = whole(now_us())
redis.call('HSET', prefix .. 'job:' .. id, 'status', 'queued', 'request', request, 'created_us', created,
  'attempts', 0, 'fence', 0)
redis.call('ZADD', prefix .. 'jobs', created, id)
redis.call('ZADD', prefix .. 'status:queued', created, id)
if key ~= '' then
  redis.call('HSET', prefix .. 'idempotency:' .. key, 'id', id, 'digest', digest)
  redis.call('EXPIRE', prefix .. 'idempotency:' .. key, ttl)
end
return {'accepted', id}
