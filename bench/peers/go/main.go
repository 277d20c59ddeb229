// The Go side of the benchmarks: goroutines doing what the guests in bench/guests do. One JSON object a line on standard output.
//
//	go-peer switch --n 1000 --iterations 2000
//	go-peer spawn --workers 1 --count 100000 [--batch 64]
//	go-peer roundtrip --count 100000
//	go-peer parked --n 100000
//	go-peer fairness --workers 2 --seconds 2
//	go-peer scaling --workers 4 --rounds 20 --repeats 3
//	go-peer idle --n 10000 --seconds 5
//	go-peer channels --workers 2 --count 1000000 [--batch 64]
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

type result struct {
	System string         `json:"system"`
	Bench  string         `json:"bench"`
	Case   string         `json:"case"`
	N      int            `json:"n"`
	Value  float64        `json:"value"`
	Unit   string         `json:"unit"`
	Extra  map[string]any `json:"extra,omitempty"`
}

func report(bench, kind string, n int, value float64, unit string, extra map[string]any) {
	line, err := json.Marshal(result{"go", bench, kind, n, value, unit, extra})
	if err != nil {
		fail(err.Error())
	}
	fmt.Println(string(line))
}

func fail(message string) {
	fmt.Fprintln(os.Stderr, "go-peer: "+message)
	os.Exit(1)
}

// Kilobytes of this program in memory, and of its page tables.
func memory() (resident, tables float64) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		fail(err.Error())
	}
	for _, line := range strings.Split(string(text), "\n") {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		value, _ := strconv.ParseFloat(fields[1], 64)
		switch fields[0] {
		case "VmRSS:":
			resident = value
		case "VmPTE:":
			tables = value
		}
	}
	return
}

func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		fail(err.Error())
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func switches(n, iterations int) {
	runtime.GOMAXPROCS(1)
	var arrived, done atomic.Int64
	var first sync.Once
	var start, end time.Time
	var startCPU, endCPU time.Duration
	var all sync.WaitGroup
	all.Add(n)
	for i := 0; i < n; i++ {
		go func() {
			arrived.Add(1)
			for arrived.Load() < int64(n) {
				runtime.Gosched()
			}
			first.Do(func() { start, startCPU = time.Now(), cpuTime() })
			for k := 0; k < iterations; k++ {
				runtime.Gosched()
			}
			if done.Add(1) == int64(n) {
				end, endCPU = time.Now(), cpuTime()
			}
			all.Done()
		}()
	}
	all.Wait()
	each := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / float64(n*iterations) }
	report("switch", "yield", n, each(end.Sub(start)), "ns", map[string]any{"cpu": each(endCPU - startCPU)})
}

func spawn(workers, count, batch int) {
	runtime.GOMAXPROCS(workers)
	var spawners sync.WaitGroup
	start, startCPU := time.Now(), cpuTime()
	for w := 0; w < workers; w++ {
		spawners.Add(1)
		go func() {
			defer spawners.Done()
			var inside sync.WaitGroup
			for left := count / workers; left > 0; left -= batch {
				inside.Add(batch)
				for i := 0; i < batch; i++ {
					go inside.Done()
				}
				inside.Wait()
			}
		}()
	}
	spawners.Wait()
	started := float64((count/workers + batch - 1) / batch * batch * workers)
	elapsed, cpu := time.Since(start), cpuTime()-startCPU
	report("spawn", "empty", workers, float64(elapsed.Microseconds())*float64(workers)/started, "us",
		map[string]any{"cpu": float64(cpu.Microseconds()) / started})
}

// Two goroutines take turns over a mutex and two condition variables, as guests/threads/runtime/pingpong.c does.
func roundTrip(count int) {
	runtime.GOMAXPROCS(1)
	var mutex sync.Mutex
	turn, signals := 0, [2]*sync.Cond{sync.NewCond(&mutex), sync.NewCond(&mutex)}
	play := func(me int) {
		for i := 0; i < count; i++ {
			mutex.Lock()
			for turn != me {
				signals[me].Wait()
			}
			turn = 1 - me
			signals[turn].Signal()
			mutex.Unlock()
		}
	}
	var pong sync.WaitGroup
	pong.Add(1)
	start := time.Now()
	go func() {
		play(1)
		pong.Done()
	}()
	play(0)
	pong.Wait()
	report("threads", "round_trip", 2, float64(time.Since(start).Nanoseconds())/float64(count), "ns", nil)
}

func park(n int) (baseResident, baseTables float64) {
	baseResident, baseTables = memory()
	var arrived sync.WaitGroup
	arrived.Add(n)
	for i := 0; i < n; i++ {
		go func() {
			arrived.Done()
			time.Sleep(time.Hour)
		}()
	}
	arrived.Wait()
	for i := 0; i < 100; i++ { // the last ones still have to reach their timers
		runtime.Gosched()
	}
	return
}

func parked(n int) {
	resident, tables := park(n)
	nowResident, nowTables := memory()
	report("parked", "memory", n, (nowResident-resident)/float64(n), "KiB",
		map[string]any{"alive": runtime.NumGoroutine() - 1, "page_tables_kib": (nowTables - tables) / float64(n)})
}

func idle(n int, duration time.Duration) {
	park(n)
	runtime.GC() // what was allocated so far; a collection later on would count as idle work
	time.Sleep(200 * time.Millisecond)
	before := cpuTime()
	time.Sleep(duration)
	report("idle", "cpu", n, float64((cpuTime()-before).Microseconds())/1000, "ms",
		map[string]any{"seconds": duration.Seconds()})
}

func fairness(workers int, duration time.Duration) {
	runtime.GOMAXPROCS(workers)
	var sink atomic.Uint32
	for i := 0; i < 4*workers; i++ {
		go func() {
			x := uint32(0)
			for {
				x = x*1664525 + 1013904223
				if x == 1 {
					sink.Store(x)
				}
			}
		}()
	}
	const sleep = 5 * time.Millisecond
	var late []float64
	for end := time.Now().Add(duration); time.Now().Before(end); {
		before := time.Now()
		time.Sleep(sleep)
		late = append(late, float64((time.Since(before)-sleep).Microseconds())/1000)
	}
	sort.Float64s(late)
	at := func(q float64) float64 { return late[int(q*float64(len(late)-1))] }
	report("fairness", "late_p99", workers, at(0.99), "ms",
		map[string]any{"p50_ms": at(0.5), "max_ms": at(1), "samples": len(late), "quantum_ms": 10})
}

// The same work as bench/guests/sort.wat, natively: what this machine gives when nothing of ours is in the way.
func sortWords(rounds int) {
	words := make([]uint32, 4096)
	seed := uint32(2463534242)
	sift := func(root, size int) {
		value := words[root]
		for {
			child := 2*root + 1
			if child >= size {
				break
			}
			if child+1 < size && words[child] < words[child+1] {
				child++
			}
			if value >= words[child] {
				break
			}
			words[root] = words[child]
			root = child
		}
		words[root] = value
	}
	for ; rounds > 0; rounds-- {
		for i := range words {
			seed ^= seed << 13
			seed ^= seed >> 17
			seed ^= seed << 5
			words[i] = seed
		}
		for i := len(words) / 2; i > 0; {
			i--
			sift(i, len(words))
		}
		for i := len(words) - 1; i > 0; i-- {
			words[0], words[i] = words[i], words[0]
			sift(0, i)
		}
		for i := 1; i < len(words); i++ {
			if words[i] < words[i-1] {
				fail("not sorted")
			}
		}
	}
}

func scaling(workers, rounds, repeats int) {
	runtime.GOMAXPROCS(workers)
	run := func(n int) float64 {
		var all sync.WaitGroup
		all.Add(n)
		start := time.Now()
		for i := 0; i < n; i++ {
			go func() {
				sortWords(rounds)
				all.Done()
			}()
		}
		all.Wait()
		return time.Since(start).Seconds()
	}
	run(workers)
	for i := 0; i < repeats; i++ {
		one, many := run(1), run(workers)
		report("scaling", "throughput", workers, one*float64(workers)/many, "x",
			map[string]any{"one_s": one, "many_s": many})
	}
}

func main() {
	if len(os.Args) < 2 {
		fail("say which benchmark: switch, spawn, roundtrip, parked, fairness, scaling, idle or channels")
	}
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	n := flags.Int("n", 1000, "goroutines")
	iterations := flags.Int("iterations", 1000, "yields of each")
	workers := flags.Int("workers", 1, "GOMAXPROCS")
	count := flags.Int("count", 100000, "goroutines to start, all together; round trips; messages")
	batch := flags.Int("batch", 64, "goroutines to start, or messages to send, at a time")
	seconds := flags.Float64("seconds", 2, "how long")
	rounds := flags.Int("rounds", 10, "rounds of work of each")
	repeats := flags.Int("repeats", 1, "measurements")
	_ = flags.Parse(os.Args[2:])
	duration := time.Duration(*seconds * float64(time.Second))
	switch os.Args[1] {
	case "switch":
		switches(*n, *iterations)
	case "spawn":
		spawn(*workers, *count, *batch)
	case "roundtrip":
		roundTrip(*count)
	case "parked":
		parked(*n)
	case "idle":
		idle(*n, duration)
	case "fairness":
		fairness(*workers, duration)
	case "scaling":
		scaling(*workers, *rounds, *repeats)
	case "channels":
		channels(*workers, *count, *batch)
	default:
		fail("unknown benchmark " + os.Args[1])
	}
}
