-- Script for wrk: log-ins with a wrong password for a known address, and with unknown addresses.
local count = 0

function request()
  count = count + 1
  local email = count % 2 == 0 and "known@example.com" or ("nobody" .. count .. "@example.com")
  return wrk.format("POST", "/api/auth/login", { ["Content-Type"] = "application/json" },
    '{"email":"' .. email .. '","password":"not the password"}')
end

local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

unauthenticated, unavailable, other = 0, 0, 0

function response(status)
  if status == 401 then unauthenticated = unauthenticated + 1
  elseif status == 503 then unavailable = unavailable + 1
  else other = other + 1 end
end

function done()
  local sums = { 0, 0, 0 }
  for _, thread in ipairs(threads) do
    sums[1] = sums[1] + thread:get("unauthenticated")
    sums[2] = sums[2] + thread:get("unavailable")
    sums[3] = sums[3] + thread:get("other")
  end
  io.write(string.format("LOGINS %d %d %d\n", sums[1], sums[2], sums[3]))
end
