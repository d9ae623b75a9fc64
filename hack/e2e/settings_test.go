package e2e_test

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"time"
)

// settings are what the environment says about the cluster.
type settings struct {
	// load is a shell command that brings image archives, its arguments, to
	// the nodes. Empty: the images are where prefix says.
	load string
	// prefix and tag name the images that are there already.
	prefix, tag string
	// redis is the image of the embedded Redis. Empty: site has one.
	redis string
	// stopNode and startNode are shell commands that kill a node and bring it
	// back; they get its name in NODE.
	stopNode, startNode string
	// keep leaves everything in the cluster, for a person to look at.
	keep bool
}

// none says in words that something is not to be had.
const none = "none"

func readSettings() (settings, error) {
	s := settings{
		load: os.Getenv("E2E_LOAD"), prefix: os.Getenv("E2E_IMAGE_PREFIX"), tag: os.Getenv("E2E_IMAGE_TAG"),
		redis:    os.Getenv("E2E_REDIS_IMAGE"),
		stopNode: os.Getenv("E2E_STOP_NODE"), startNode: os.Getenv("E2E_START_NODE"), keep: os.Getenv("E2E_KEEP") != "",
	}
	var errs []error
	if (s.load == "") == (s.prefix == "" || s.tag == "") {
		errs = append(errs, errors.New(`set E2E_LOAD to a command that loads image archives, such as "kind load image-archive"; or E2E_IMAGE_PREFIX and E2E_IMAGE_TAG to where the images are`))
	}
	if s.stopNode == "" || s.stopNode != none && s.startNode == "" {
		errs = append(errs, errors.New(`set E2E_STOP_NODE and E2E_START_NODE to commands that kill the node $NODE and bring it back, such as 'docker stop $NODE'; E2E_STOP_NODE=none leaves that spec out`))
	}
	s.prefix, s.tag = cmp.Or(s.prefix, "wildout.test"), cmp.Or(s.tag, fmt.Sprintf("e2e-%d", time.Now().Unix()))
	s.redis = cmp.Or(s.redis, s.image("site"))
	return s, errors.Join(errs...)
}

// helmImages are the settings of the chart that name the images.
func (s *settings) helmImages() []string {
	args := []string{"--set", "image.prefix=" + s.prefix, "--set-string", "image.tag=" + s.tag}
	if s.redis != "" {
		args = append(args, "--set", "redis.embedded.image="+s.redis)
	}
	return args
}

// image is the image of a program.
func (s *settings) image(program string) string {
	return s.prefix + "/" + program + ":" + s.tag
}
