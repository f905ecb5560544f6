// The program network-policy enforces NetworkPolicies on a node, by iptables
// and ipset. It is kube-router's network policy controller, and nothing else of
// kube-router, which would also like to be router and Service proxy.
package main

import (
	"flag"
	"log"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/cloudnativelabs/kube-router/v2/pkg/controllers/netpol"
	"github.com/cloudnativelabs/kube-router/v2/pkg/healthcheck"
	"github.com/cloudnativelabs/kube-router/v2/pkg/options"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

func main() {
	klog.InitFlags(nil)
	kubeconfig := flag.String("kubeconfig", "", "path of the kubeconfig")
	node := flag.String("hostname-override", "", "name of the Node")
	services := flag.String("service-cluster-ip-range", "", "ranges of ClusterIPs, the first family first")
	ports := flag.String("service-node-port-range", "", "range of NodePorts, as in 30000-32767")
	flag.Parse()
	if err := run(*kubeconfig, *node, *services, *ports); err != nil {
		log.Fatal(err)
	}
}

func run(kubeconfig, node, services, ports string) error {
	connection, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(connection)
	if err != nil {
		return err
	}
	config := options.NewKubeRouterConfig()
	config.HostnameOverride = node
	config.ClusterIPCIDRs = strings.Split(services, ",")
	config.NodePortRange = strings.Replace(ports, "-", ":", 1)
	config.EnableIPv4 = strings.Contains(services, ".")
	config.EnableIPv6 = strings.Contains(services, ":")
	config.IPTablesSyncPeriod = 5 * time.Minute // besides what each change brings about

	stop := make(chan struct{})
	factory := informers.NewSharedInformerFactory(client, 0)
	pods := factory.Core().V1().Pods().Informer()
	namespaces := factory.Core().V1().Namespaces().Informer()
	policies := factory.Networking().V1().NetworkPolicies().Informer()
	factory.Start(stop)
	factory.WaitForCacheSync(stop)

	tables, sets, err := netpol.NewIPTablesHandlers(config)
	if err != nil {
		return err
	}
	var lock sync.Mutex
	controller, err := netpol.NewNetworkPolicyController(client, config, pods, policies, namespaces, &lock, tables, sets)
	if err != nil {
		return err
	}
	for informer, handler := range map[cache.SharedIndexInformer]cache.ResourceEventHandler{
		pods:       controller.PodEventHandler,
		namespaces: controller.NamespaceEventHandler,
		policies:   controller.NetworkPolicyEventHandler,
	} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			return err
		}
	}
	heartbeats := make(chan *healthcheck.ControllerHeartbeat, 10)
	go func() {
		for range heartbeats { // nobody asks, but the controller waits until each is taken
		}
	}()
	var running sync.WaitGroup
	running.Add(1)
	controller.Run(heartbeats, stop, &running)
	return http.ErrServerClosed
}
