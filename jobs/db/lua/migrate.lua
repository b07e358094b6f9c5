-- ARGV: prefix, the prefix of the earlier version, its queue of tickets, 1 to only count. Move every key of the earlier
-- version to the place where this one has it, all at once. Where both have written, what is newer in kind wins: counts are
-- added, indexes joined, and of two values the earlier one stays, which may be a secret that others know.
-- The tickets go: the reaper writes one for each job that waits. Returns the number of keys, and of tickets.
local prefix, before, tickets, only_count = unpack(ARGV)
local SUMS = {kept_bytes = true, kept_file_bytes = true, waiting_cost = true}

local function join(name, old, new)
  local kind = redis.call('TYPE', old).ok
  if kind == 'zset' then
    redis.call('ZUNIONSTORE', new, 2, new, old, 'AGGREGATE', 'MAX')
  elseif kind == 'set' then
    redis.call('SUNIONSTORE', new, new, old)
  elseif kind == 'hash' then
    local fields = redis.call('HGETALL', old)
    for i = 1, #fields, 2 do
      redis.call('HSETNX', new, fields[i], fields[i + 1])
    end
  elseif kind == 'string' and SUMS[name] then
    redis.call('INCRBY', new, redis.call('GET', old))
  elseif kind == 'string' then
    redis.call('RENAME', old, new)
    return
  end
  redis.call('DEL', old)
end

local moved, dropped = 0, 0
for _, key in ipairs(redis.call('KEYS', before .. '*')) do
  local name = string.sub(key, #before + 1)
  moved = moved + 1
  if only_count ~= '1' and redis.call('RENAMENX', key, prefix .. name) == 0 then
    join(name, key, prefix .. name)
  end
end
for _, queue in ipairs({tickets, tickets .. ':intermediate'}) do
  for _, ticket in ipairs(redis.call('LRANGE', queue, 0, -1)) do
    dropped = dropped + 1
    if only_count ~= '1' then
      redis.call('DEL', 'rq:job:' .. ticket)
    end
  end
  if only_count ~= '1' then
    redis.call('DEL', queue)
    redis.call('SREM', 'rq:queues', queue)
  end
end
return {moved, dropped}
