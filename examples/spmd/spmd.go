// The program of spmd.c with goroutines: the same rules, the same barrier (each goroutine waits for a permit of its own), the same output.
//
//	go run spmd.go [cars [steps]]
package main

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	fastest      = 5
	cellsForEach = 7
	reports      = 10
)

var (
	cars, steps = 10000, 200
	now         int        // the step that is being made; written when all others wait
	place       [2][]int64 // of each car, in cells from the beginning: before this step [now % 2], and after it
	permit      []chan struct{}
	arrived     atomic.Int32
)

func report() {
	before, after := place[1-now%2], place[now%2]
	var driven int64
	standing := 0
	for car := range after {
		driven += after[car] - int64(car)*cellsForEach
		if after[car] == before[car] {
			standing++
		}
	}
	fmt.Printf("step %d: %d cells driven, %d cars stand\n", now, driven, standing)
}

func gap(car int) int64 {
	at := place[now%2]
	if car+1 < cars {
		return at[car+1] - at[car] - 1
	}
	return at[0] + int64(cars)*cellsForEach - at[car] - 1
}

func dice(car int) uint32 {
	x := uint32(car)*0x9e3779b9 ^ uint32(now)*0x85ebca6b
	x = (x ^ x>>16) * 0x7feb352d
	x = (x ^ x>>15) * 0x846ca68b
	return x ^ x>>16
}

func step(car int, speed int64) {
	place[1-now%2][car] = place[now%2][car] + speed
	if arrived.Add(1) < int32(cars) {
		<-permit[car]
		return
	}
	arrived.Store(0)
	now++
	if now%(steps/reports) == 0 {
		report()
	}
	for other := range permit {
		if other != car {
			permit[other] <- struct{}{}
		}
	}
}

func stand(car int) {
	for {
		step(car, 0)
		if now >= steps || (gap(car) != 0 && (dice(car)>>8)%2 != 0) {
			return
		}
	}
}

func drive(car int) {
	var speed int64
	for now < steps {
		if speed < fastest {
			speed++
		}
		speed = min(speed, gap(car))
		if speed > 0 && dice(car)%4 == 0 {
			speed--
		}
		if speed > 0 {
			step(car, speed)
		} else {
			stand(car)
		}
	}
}

func main() {
	for index, into := range []*int{&cars, &steps} {
		if len(os.Args) > index+1 {
			*into, _ = strconv.Atoi(os.Args[index+1])
		}
	}
	if cars < 1 || cars > 1000000 || steps < reports || steps > 1000000 {
		fmt.Fprintln(os.Stderr, "spmd: from 1 to 1000000 cars, and from 10 to 1000000 steps")
		os.Exit(1)
	}
	place = [2][]int64{make([]int64, cars), make([]int64, cars)}
	permit = make([]chan struct{}, cars)
	for car := range permit {
		place[0][car] = int64(car) * cellsForEach
		permit[car] = make(chan struct{}, 1)
	}
	fmt.Printf("%d cars on a ring of %d cells, %d steps\n", cars, cars*cellsForEach, steps)

	began := time.Now()
	var drivers sync.WaitGroup
	drivers.Add(cars)
	for car := range permit {
		go func() {
			drive(car)
			drivers.Done()
		}()
	}
	drivers.Wait()
	took := time.Since(began)

	fingerprint := uint64(0xcbf29ce484222325)
	for _, at := range place[now%2] {
		fingerprint = (fingerprint ^ uint64(at)) * 0x100000001b3
	}
	fmt.Printf("fingerprint of all places: %016x\n", fingerprint)
	fmt.Fprintf(os.Stderr, "took %d us\n", took.Microseconds())
}
