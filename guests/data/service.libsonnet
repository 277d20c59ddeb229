// What a service of the fleet is made of. Imported by fleet.jsonnet.
{
  service(name, cpu, memory_mib):: {
    name: name,
    image: 'registry/' + name + ':' + $.version(name),
    cpu: cpu,
    memory_mib: memory_mib,
    environment: { SERVICE: std.asciiUpper(name), LOG: 'info' },
    health: '/healthz/' + name,
  },

  // Mix-ins: each adds what it needs to any service.
  public(host):: { host: host + '.example', environment+: { LISTEN: '0.0.0.0:8443' } },
  database(kind):: { memory_mib+: 256, environment+: { DATABASE: kind + '://' + $.name_of(self) } },
  cache(gib):: { memory_mib+: gib * 1024, environment+: { CACHE_GIB: std.toString(gib) } },
  queue(name):: { environment+: { QUEUE: name } },
  nightly(hour):: { hour:: hour, environment+: { NIGHTLY: '%02d:00' % hour } },

  name_of(object):: if std.objectHasAll(object, 'name') then object.name else 'anonymous',

  // Versions are derived, not read: the same name always gives the same one.
  version(name):: 
    std.length(name) + '.' + std.foldl(function(sum, char) (sum * 31 + std.codepoint(char)) % 97, std.stringChars(name), 7),

  // Far regions get fewer replicas, at least two.
  replicas(region):: std.max(2, 9 - std.length(region)),

  place(service, region):: service {
    region: region,
    replicas: $.replicas(region),
    labels: { region: region, tier: if service.cpu >= 4 then 'heavy' else 'light' },
    environment+: { REGION: region },
  },

  totals(placed):: {
    replicas: std.sum([service.replicas for service in placed]),
    cpu: std.sum([service.replicas * service.cpu for service in placed]),
    memory_mib: std.sum([service.replicas * service.memory_mib for service in placed]),
  },

  assign_ports(names, first):: {
    [pair[0]]: pair[1]
    for pair in std.mapWithIndex(function(index, name) [name, first + index], std.sort(names))
  },

  schedule(services)::
    local nightly = [service for service in services if std.objectHasAll(service, 'hour')];
    [
      '%02d:00 %s' % [service.hour, service.name]
      for service in std.sort(nightly, function(service) service.hour)
    ],

  // Adler-32 over the text: enough arithmetic to keep an interpreter honest. Both sums live in one number, because a
  // lazy pair would pile up one unevaluated thunk a character.
  checksum(text)::
    local step(state, char) =
      local a = (state % 65536 + std.codepoint(char)) % 65521;
      local b = (std.floor(state / 65536) + a) % 65521;
      b * 65536 + a;
    local state = std.foldl(step, std.stringChars(text), 1);
    '%04x%04x' % [std.floor(state / 65536), state % 65536],
}
