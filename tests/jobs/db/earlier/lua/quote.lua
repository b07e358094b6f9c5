-- ARGV: prefix, flow or '', weight of the flow, cost, the tenant or '', accounts (see accounts.lua) in JSON. Nothing is
-- submitted, and nothing changes. Returns {number of waiting jobs that a job of this flow and cost would come after, number
-- of the account whose limit it would break or 0, that limit or '', how the accounts stand}. Without a flow there is no
-- job, only the accounts.
local prefix, flow, weight, cost, tenant, accounts = unpack(ARGV)
local now = now_us()
local used, whose, limit = consider_cost(prefix, cjson.decode(accounts), tonumber(cost), now, month_of(now))
local before = 0
if flow ~= '' then
  local tag = place_in_queue(prefix, flow, weight, tonumber(cost), tenant ~= '' and tenant)
  before = redis.call('ZCOUNT', prefix .. 'waiting', '-inf', string.format('%.17g', tag))
end
return {before, whose, limit, unpack(told(used, now))}
