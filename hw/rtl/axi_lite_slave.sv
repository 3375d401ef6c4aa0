// The handshakes of an AXI4-Lite slave, and behind them a plain port for registers of 32 bits.
//
// A write is shown to the registers for one cycle, with write_o high, and so is a read, with read_o high; both may come
// in the same cycle. So a read may have an effect, and has it once. Address and data are there from the cycle before, for
// registers to decode them into flip-flops, to the cycle after. They say in the cycle of write_o whether they accept a write, and in the one
// after read_o whether they accept a read and what it gives. What they do not accept is answered with SLVERR.
//
// Address and data of a write may come in any order. One write and one read are held; every ready and every answer
// comes from a flip-flop. Registers are written whole: a write with a strobe low is answered with SLVERR and not shown,
// as IHI 0022 ("AXI4-Lite, write strobes") allows.
//
// AddressWidth:  bits of an address in bytes, at least 1.
`default_nettype none

module axi_lite_slave #(
  parameter int unsigned AddressWidth = 12
) (
  input  wire                    clk_i,
  input  wire                    rst_ni,

  // AXI4-Lite
  input  wire [AddressWidth-1:0] awaddr_i,
  input  wire                    awvalid_i,
  output wire                    awready_o,
  input  wire [31:0]             wdata_i,
  input  wire [3:0]              wstrb_i,
  input  wire                    wvalid_i,
  output wire                    wready_o,
  output wire [1:0]              bresp_o,
  output wire                    bvalid_o,
  input  wire                    bready_i,
  input  wire [AddressWidth-1:0] araddr_i,
  input  wire                    arvalid_i,
  output wire                    arready_o,
  output wire [31:0]             rdata_o,
  output wire [1:0]              rresp_o,
  output wire                    rvalid_o,
  input  wire                    rready_i,

  // registers
  output wire                    write_o,
  output wire [AddressWidth-1:0] write_address_o,
  output wire [31:0]             write_data_o,
  input  wire                    write_accept_i,
  output wire                    read_o,
  output wire [AddressWidth-1:0] read_address_o,
  input  wire [31:0]             read_data_i,
  input  wire                    read_accept_i
);

  if (AddressWidth < 1) begin : gen_check
    $error("%m: AddressWidth must be at least 1");
  end

  localparam bit [1:0] Okay = 2'b00;
  localparam bit [1:0] SlvErr = 2'b10;

  // -- writes: an address and a word wait for each other, and for room for the answer

  logic [AddressWidth-1:0] write_address_q;
  logic [31:0] write_data_q;
  logic write_whole_q, have_address_q, have_data_q, settled_q, bvalid_q;
  logic [1:0] bresp_q;

  wire write = settled_q && !bvalid_q;
  assign awready_o = !have_address_q;
  assign wready_o = !have_data_q;
  assign bvalid_o = bvalid_q;
  assign bresp_o = bresp_q;
  assign write_o = write && write_whole_q;
  assign write_address_o = write_address_q;
  assign write_data_o = write_data_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      have_address_q <= 1'b0;
      have_data_q <= 1'b0;
      settled_q <= 1'b0;
      bvalid_q <= 1'b0;
    end else begin
      have_address_q <= have_address_q ? !write : awvalid_i;
      have_data_q <= have_data_q ? !write : wvalid_i;
      settled_q <= have_address_q && have_data_q && !write;
      bvalid_q <= bvalid_q ? !bready_i : write;
    end
    if (!have_address_q) write_address_q <= awaddr_i;
    if (!have_data_q) begin
      write_data_q <= wdata_i;
      write_whole_q <= &wstrb_i;
    end
    if (write) bresp_q <= (write_whole_q && write_accept_i) ? Okay : SlvErr;
  end

  // -- reads

  logic [AddressWidth-1:0] read_address_q;
  logic [31:0] rdata_q;
  logic have_read_q, read_settled_q, read_q, rvalid_q;
  logic [1:0] rresp_q;

  wire read = read_settled_q && !rvalid_q;
  assign arready_o = !have_read_q;
  assign rvalid_o = rvalid_q;
  assign rresp_o = rresp_q;
  assign rdata_o = rdata_q;
  assign read_o = read;
  assign read_address_o = read_address_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      have_read_q <= 1'b0;
      read_settled_q <= 1'b0;
      read_q <= 1'b0;
      rvalid_q <= 1'b0;
    end else begin
      have_read_q <= have_read_q ? !read : arvalid_i;
      read_settled_q <= have_read_q && !read;
      read_q <= read;
      rvalid_q <= rvalid_q ? !rready_i : read_q;
    end
    if (!have_read_q) read_address_q <= araddr_i;
    if (read_q) begin
      rdata_q <= read_data_i;
      rresp_q <= read_accept_i ? Okay : SlvErr;
    end
  end

endmodule

`default_nettype wire
