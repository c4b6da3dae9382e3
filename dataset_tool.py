from tools import cli, dataset_tool

if __name__ == '__main__':
    cli.run(dataset_tool.main)
