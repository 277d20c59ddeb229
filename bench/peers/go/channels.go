// Channels between goroutines, with messages of 64 bytes, as bench/weft/messaging.cpp has them between tasks.
package main

import (
	"runtime"
	"time"
)

type message [64]byte

// Two goroutines take turns over two channels.
func channelRoundTrip(name string, capacity, count int) {
	runtime.GOMAXPROCS(1)
	there, back := make(chan message, capacity), make(chan message, capacity)
	go func() {
		for m := range there {
			back <- m
		}
	}()
	var sum int
	start, startCPU := time.Now(), cpuTime()
	for i := 0; i < count; i++ {
		var m message
		m[0] = byte(i)
		there <- m
		m = <-back
		sum += int(m[0])
	}
	elapsed, cpu := time.Since(start), cpuTime()-startCPU
	close(there)
	report("channel", name, 2, float64(elapsed.Nanoseconds())/float64(count), "ns",
		map[string]any{"sum": sum, "cpu": float64(cpu.Nanoseconds()) / float64(count)})
}

// One sends, another receives: each message for itself.
func channelThroughput(workers, capacity, count int) {
	runtime.GOMAXPROCS(workers)
	pipe, done := make(chan message, capacity), make(chan int)
	start := time.Now()
	go func() {
		sum := 0
		for m := range pipe {
			sum += int(m[0])
		}
		done <- sum
	}()
	for i := 0; i < count; i++ {
		var m message
		m[0] = 1
		pipe <- m
	}
	close(pipe)
	if <-done != count {
		fail("messages were lost")
	}
	report("channel", "throughput", workers, float64(count)/time.Since(start).Seconds()/1e6, "M/s", nil)
}

// The same in slices of so many, the nearest that Go has to a batch.
func channelBatches(workers, capacity, batch, count int) {
	runtime.GOMAXPROCS(workers)
	pipe, done := make(chan []message, capacity/batch), make(chan int)
	start := time.Now()
	go func() {
		sum := 0
		for many := range pipe {
			for i := range many {
				sum += int(many[i][0])
			}
		}
		done <- sum
	}()
	for sent := 0; sent < count; sent += batch {
		many := make([]message, batch)
		for i := range many {
			many[i][0] = 1
		}
		pipe <- many
	}
	close(pipe)
	if <-done != (count+batch-1)/batch*batch {
		fail("messages were lost")
	}
	report("channel", "batched", workers, float64(count)/time.Since(start).Seconds()/1e6, "M/s", map[string]any{"batch": batch})
}

func channels(workers, count, batch int) {
	channelRoundTrip("round_trip", 0, count)
	channelRoundTrip("round_trip_buffered", 64, count)
	channelThroughput(workers, 1024, 10*count)
	channelBatches(workers, 1024, batch, 40*count)
}
