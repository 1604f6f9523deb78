package servers

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"
)

// RedisServer is a Redis server whose password is checked. It has no user
// names: User is empty.
type RedisServer struct {
	Address
	// Prefix is this test's own; [RedisServer.Key] puts it before a name.
	Prefix string
	*Process
}

// Redis finds or starts the shared server.
func (r *Run) Redis(ctx context.Context, opts ...Option) (*RedisServer, error) {
	a, _, ok, err := given(kindRedis, "6379")
	if err != nil {
		return nil, err
	}
	if ok {
		return &RedisServer{Address: a, Process: &Process{}}, nil
	}
	return r.redis(ctx, false, opts)
}

// StartRedis starts a server for the caller alone. It writes every change to
// disk before it answers.
func (r *Run) StartRedis(ctx context.Context, opts ...Option) (*RedisServer, error) {
	return r.redis(ctx, true, opts)
}

func (r *Run) redis(ctx context.Context, own bool, opts []Option) (*RedisServer, error) {
	a, p, _, err := r.obtain(ctx, newSpec(kindRedis, opts), own)
	if err != nil {
		return nil, err
	}
	a.User = ""
	return &RedisServer{Address: a, Process: p}, nil
}

// URL is redis://:password@host:port/0.
func (s *RedisServer) URL() string {
	u := url.URL{Scheme: "redis", Host: s.Addr(), Path: "/0"}
	if s.Password != "" {
		u.User = url.UserPassword(s.User, s.Password)
	}
	return u.String()
}

// Key returns the test's own name for a key.
func (s *RedisServer) Key(name string) string { return s.Prefix + ":" + name }

// Fresh makes a new Prefix and returns the function that deletes the keys that
// start with it.
func (s *RedisServer) Fresh(_ context.Context, hint string) (drop func(context.Context) error, err error) {
	s.Prefix = fresh(hint)
	return func(ctx context.Context) error {
		const script = `for _, k in ipairs(redis.call('KEYS', ARGV[1])) do redis.call('DEL', k) end return 'OK'`
		_, err := s.Do(ctx, "EVAL", script, "0", s.Prefix+":*")
		return err
	}, nil
}

// Do logs in, sends one command and returns a one-line answer without its
// type byte; of longer answers, the first line. It serves set-up and checks of
// tests, for which a client library would be a dependency too many.
func (s *RedisServer) Do(ctx context.Context, command ...string) (string, error) {
	conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, "tcp", s.Addr())
	if err != nil {
		return "", fmt.Errorf("connect to Redis: %w", err)
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	commands := [][]string{command}
	if s.Password != "" {
		auth := []string{"AUTH", s.Password}
		if s.User != "" {
			auth = []string{"AUTH", s.User, s.Password}
		}
		commands = [][]string{auth, command}
	}
	in := bufio.NewReader(conn)
	var answer string
	for _, c := range commands {
		if _, err := conn.Write(redisCommand(c)); err != nil {
			return "", fmt.Errorf("send to Redis: %w", err)
		}
		if answer, err = redisAnswer(in); err != nil {
			return "", fmt.Errorf("redis %s: %w", c[0], err)
		}
	}
	return answer, nil
}

// redisCommand encodes a command as an array of strings.
func redisCommand(words []string) []byte {
	b := fmt.Appendf(nil, "*%d\r\n", len(words))
	for _, w := range words {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(w), w)
	}
	return b
}

func redisAnswer(in *bufio.Reader) (string, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimRight(line, "\r\n")
	switch {
	case line == "":
		return "", fmt.Errorf("empty answer")
	case line[0] == '-':
		return "", fmt.Errorf("%s", line[1:])
	case line[0] == '$' && line != "$-1":
		if line, err = in.ReadString('\n'); err != nil {
			return "", err
		}
		return strings.TrimRight(line, "\r\n"), nil
	}
	return line[1:], nil
}
