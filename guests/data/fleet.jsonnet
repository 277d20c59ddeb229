// A small fleet of services, rendered into one JSON document: what a configuration repository does all day.
// Input of the Go program (go-jsonnet) in `make run` and in the tests; fleet.expected.json is what it must print.
local lib = import 'service.libsonnet';

local regions = ['eu-central', 'us-east'];

local services = [
  lib.service('gateway', cpu=2, memory_mib=512) + lib.public('www'),
  lib.service('accounts', cpu=1, memory_mib=1024) + lib.database('postgres'),
  lib.service('search', cpu=8, memory_mib=8192) + lib.cache(gib=4),
  lib.service('billing', cpu=1, memory_mib=768) + lib.database('postgres') + lib.nightly(hour=3),
  lib.service('mailer', cpu=0.5, memory_mib=256) + lib.queue('outbox'),
  lib.service('reports', cpu=4, memory_mib=4096) + lib.nightly(hour=1) + lib.queue('reports'),
];

{
  regions: {
    [region]: {
      services: { [service.name]: lib.place(service, region) for service in services },
      totals: lib.totals([lib.place(service, region) for service in services]),
    }
    for region in regions
  },
  ports: lib.assign_ports([service.name for service in services], 20000),
  schedule: lib.schedule(services),
  checksum: lib.checksum(std.manifestJsonMinified(lib.place(services[0], 'us-east'))),
}
