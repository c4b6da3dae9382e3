from tools import calc_metrics, cli

if __name__ == '__main__':
    cli.run(calc_metrics.main)
