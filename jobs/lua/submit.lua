-- ARGV: prefix, id, request, most waiting jobs, idempotency key or '', digest of the body, seconds to keep the key,
-- the webhook's address or '', its events with commas between.
-- Returns {'accepted' | 'replayed' | 'conflict' | 'full', id}. The same id again (its answer was lost) changes nothing.
local prefix, id, request, most, key, digest, ttl, webhook, webhook_events = unpack(ARGV)
if redis.call('EXISTS', prefix .. 'job:' .. id) == 1 then
  return {'accepted', id}
end
if key ~= '' then
  local known = redis.call('HMGET', prefix .. 'idempotency:' .. key, 'id', 'digest')
  -- A key whose job was deleted is free again.
  if known[1] and redis.call('EXISTS', prefix .. 'job:' .. known[1]) == 1 then
    return {known[2] == digest and 'replayed' or 'conflict', known[1]}
  end
end
if redis.call('ZCARD', prefix .. 'status:queued') >= tonumber(most) then
  return {'full', ''}
end
local created = whole(next_creation(prefix))
redis.call('HSET', prefix .. 'job:' .. id, 'status', 'queued', 'request', request, 'created_us', created,
  'attempts', 0, 'claims', 0)
redis.call('ZADD', prefix .. 'jobs', created, id)
redis.call('ZADD', prefix .. 'status:queued', created, id)
if webhook and webhook ~= '' then
  redis.call('HSET', prefix .. 'job:' .. id, 'webhook_url', webhook, 'webhook_events', webhook_events)
end
emit(prefix, id, 'queued', 'reason', 'submitted')
if key ~= '' then
  redis.call('HSET', prefix .. 'idempotency:' .. key, 'id', id, 'digest', digest)
  redis.call('EXPIRE', prefix .. 'idempotency:' .. key, ttl)
end
return {'accepted', id}
